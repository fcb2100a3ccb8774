//! Where a BIOS keeps the ACPI root pointer (ACPI 6.5 §5.2.5.1).

/// The root pointer starts at a multiple of this.
pub const RSDP_ALIGN: usize = 16;
/// Bytes of the part that every revision has, and that its checksum covers.
pub const RSDP_SIZE: usize = 20;

const SIGNATURE: &[u8; 8] = b"RSD PTR ";

/// Offset of a root pointer with a valid checksum in `area`, which starts at a 16-byte boundary.
#[must_use]
pub fn find_rsdp(area: &[u8]) -> Option<usize> {
    (0..area.len())
        .step_by(RSDP_ALIGN)
        .find(|&at| is_rsdp(area.get(at..).unwrap_or_default()))
}

fn is_rsdp(bytes: &[u8]) -> bool {
    bytes.starts_with(SIGNATURE)
        && bytes
            .get(..RSDP_SIZE)
            .is_some_and(|head| head.iter().fold(0u8, |sum, &byte| sum.wrapping_add(byte)) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area() -> [u8; 96] {
        let mut area = [0; 96];
        area[32..40].copy_from_slice(SIGNATURE);
        area[47] = 7;
        let sum = area[32..52]
            .iter()
            .fold(0u8, |sum, &byte| sum.wrapping_add(byte));
        area[40] = 0u8.wrapping_sub(sum);
        area
    }

    #[test]
    fn a_valid_pointer_is_found() {
        assert_eq!(find_rsdp(&area()), Some(32));
    }

    #[test]
    fn a_wrong_checksum_or_a_cut_pointer_is_not() {
        let mut damaged = area();
        damaged[45] ^= 1;
        assert_eq!(find_rsdp(&damaged), None);
        assert_eq!(find_rsdp(&area()[..51]), None);
        assert_eq!(find_rsdp(&[]), None);
    }
}
