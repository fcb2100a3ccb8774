//! MSI-X (PCI 3.0 section 6.8.2): one vector for everything a device has to say.

use super::function::{MOST_CAPABILITIES, Refusal, map_bar};
use microkernel::irq;
use virtio_drivers::transport::pci::bus::{ConfigurationAccess, DeviceFunction, PciRoot};

const CAPABILITY_MSIX: u8 = 0x11;
/// Control bits, in the upper half of the capability's first word.
const ENABLE: u32 = 1 << 31;
const MASK_ALL: u32 = 1 << 30;
/// Offset of the word that says where the table is: BAR in the low 3 bits.
const TABLE: u8 = 4;

/// Bytes of one table entry, and its fields.
const ENTRY_BYTES: u32 = 16;
const ENTRY_ADDRESS: usize = 0;
const ENTRY_DATA: usize = 8;
const ENTRY_CONTROL: usize = 12;

/// Directs entry 0 of the function's table at a fresh vector and turns MSI-X on.
/// `None`: the function has no table, or the core no vectors.
pub(super) fn enable<C: ConfigurationAccess>(
    root: &mut PciRoot<C>,
    access: &mut C,
    at: DeviceFunction,
) -> Result<Option<irq::Interrupt>, Refusal> {
    let mut capabilities = root.capabilities(at).take(MOST_CAPABILITIES);
    let Some(capability) = capabilities.find(|capability| capability.id == CAPABILITY_MSIX) else {
        return Ok(None);
    };
    let Ok((interrupt, message)) = irq::claim_msi() else { return Ok(None) };
    let place = access.read_word(at, capability.offset.saturating_add(TABLE));
    let table = map_bar(root, at, (place & 7) as u8, place & !7, ENTRY_BYTES)?;
    let control = access.read_word(at, capability.offset);
    access.write_word(at, capability.offset, control | ENABLE | MASK_ALL);
    table.write_u32(ENTRY_ADDRESS, message.address as u32);
    table.write_u32(ENTRY_ADDRESS + 4, (message.address >> 32) as u32);
    table.write_u32(ENTRY_DATA, message.data);
    table.write_u32(ENTRY_CONTROL, 0);
    access.write_word(at, capability.offset, (control | ENABLE) & !MASK_ALL);
    Ok(Some(interrupt))
}
