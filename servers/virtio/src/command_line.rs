//! Devices named on the kernel's command line, as QEMU's microvm and Firecracker do it:
//! `virtio_mmio.device=<size>@<address>:<irq>[:<id>]`, numbers as Linux reads them (0x, and K, M or G behind a size).

/// One such word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MmioDevice {
    /// Bytes of registers.
    pub len: usize,
    /// Bus address.
    pub address: u64,
    /// Global system interrupt.
    pub gsi: u32,
}

const KEY: &str = "virtio_mmio.device=";
/// Header, and the first byte of configuration.
const LEAST_BYTES: usize = 0x101;
/// More registers than this is an error.
const MOST_BYTES: usize = 1 << 20;

/// All devices that the command line names; a word that makes no sense is given to `refuse`.
pub(crate) fn devices<'a>(line: &'a str, refuse: &'a mut dyn FnMut(&str)) -> impl Iterator<Item = MmioDevice> + 'a {
    line.split_ascii_whitespace().filter_map(|word| word.strip_prefix(KEY)).filter_map(move |text| {
        let device = parse(text);
        if device.is_none() {
            refuse(text);
        }
        device
    })
}

fn parse(text: &str) -> Option<MmioDevice> {
    let (len, rest) = text.split_once('@')?;
    let (address, rest) = rest.split_once(':')?;
    let gsi = rest.split(':').next()?;
    let len = usize::try_from(size(len)?).ok().filter(|len| (LEAST_BYTES..=MOST_BYTES).contains(len))?;
    let address = number(address)?;
    address.checked_add(len as u64)?;
    Some(MmioDevice { len, address, gsi: u32::try_from(number(gsi)?).ok()? })
}

/// A number with a unit behind it.
fn size(text: &str) -> Option<u64> {
    let shift = match text.as_bytes().last()? {
        b'k' | b'K' => 10,
        b'm' | b'M' => 20,
        b'g' | b'G' => 30,
        _ => return number(text),
    };
    number(&text[..text.len() - 1])?.checked_mul(1 << shift)
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;

    fn read(line: &str) -> (Vec<MmioDevice>, Vec<String>) {
        let mut refused = Vec::new();
        let found = devices(line, &mut |word| refused.push(word.to_string())).collect();
        (found, refused)
    }

    #[test]
    fn the_words_of_microvm_and_firecracker_are_read() {
        let line = "quiet virtio_mmio.device=512@0xfeb02e00:23 x=y virtio_mmio.device=4K@0xd0000000:5:0";
        let (found, refused) = read(line);
        let first = MmioDevice { len: 512, address: 0xfeb0_2e00, gsi: 23 };
        let second = MmioDevice { len: 4096, address: 0xd000_0000, gsi: 5 };
        assert_eq!((found, refused.len()), (alloc::vec![first, second], 0));
    }

    #[test]
    fn words_that_make_no_sense_are_refused_one_by_one() {
        for word in ["512@0x1000", "@:", "512@0xg:1", "16@0x1000:1", "4G@0:1", "512@0xffffffffffffffff:1", "é@1:1"] {
            let line = alloc::format!("virtio_mmio.device={word} virtio_mmio.device=512@0x1000:1");
            let (found, refused) = read(&line);
            assert_eq!((found.len(), refused), (1, alloc::vec![word.to_string()]), "{word}");
        }
    }
}
