//! Finding virtio devices on PCI, through configuration mechanism 1 (ports 0xcf8 and 0xcfc).
//!
//! Used at boot only, by one thread: the mechanism is two steps, and nothing locks it.

pub(crate) mod access;
pub(crate) mod function;
pub(crate) mod msix;

use alloc::vec::Vec;
use virtio_drivers::transport::pci::VIRTIO_VENDOR_ID;
use virtio_drivers::transport::pci::bus::{ConfigurationAccess, DeviceFunction};

const ID: u8 = 0x00;
/// Header type in bits 16..23.
const HEADER: u8 = 0x0c;
/// Secondary bus of a bridge in bits 8..15.
const BRIDGE_BUSES: u8 = 0x18;
const HEADER_BRIDGE: u8 = 1;
const HEADER_MULTIFUNCTION: u8 = 0x80;
/// What is read where no function is.
const NOTHING: u32 = 0xffff_ffff;

/// Device identifiers of VIRTIO 1.0 and later begin here (VIRTIO 1.2 section 4.1.2).
const MODERN_IDS: u16 = 0x1040;

/// Virtio's number for the kind of device behind a PCI device identifier. `None`: not virtio's.
pub(crate) fn kind_number(device_id: u16) -> Option<u32> {
    match device_id {
        // Transitional devices (section 4.1.2.1).
        0x1000 => Some(1),
        0x1001 => Some(2),
        0x1002 => Some(5),
        0x1003 => Some(3),
        0x1004 => Some(8),
        0x1005 => Some(4),
        0x1009 => Some(9),
        MODERN_IDS..=0x107f => Some(u32::from(device_id - MODERN_IDS)),
        _ => None,
    }
}

/// All virtio functions on bus 0 and behind bridges, with their device identifiers.
pub(crate) fn scan(access: &impl ConfigurationAccess) -> Vec<(DeviceFunction, u16)> {
    let mut found = Vec::new();
    let mut buses: Vec<u8> = alloc::vec![0];
    let mut next = 0;
    while let Some(bus) = buses.get(next).copied() {
        next += 1;
        for place in functions(access, bus) {
            let id = access.read_word(place, ID);
            if header(access, place) & !HEADER_MULTIFUNCTION == HEADER_BRIDGE {
                let behind = (access.read_word(place, BRIDGE_BUSES) >> 8) as u8;
                // A bridge that was not set up says 0, a broken one may point back.
                if !buses.contains(&behind) {
                    buses.push(behind);
                }
            } else if id as u16 == VIRTIO_VENDOR_ID {
                found.push((place, (id >> 16) as u16));
            }
        }
    }
    found
}

fn header(access: &impl ConfigurationAccess, place: DeviceFunction) -> u8 {
    (access.read_word(place, HEADER) >> 16) as u8
}

/// The functions of one bus.
fn functions(access: &impl ConfigurationAccess, bus: u8) -> Vec<DeviceFunction> {
    let mut list = Vec::new();
    for device in 0..32 {
        for function in 0..8 {
            let place = DeviceFunction { bus, device, function };
            if access.read_word(place, ID) != NOTHING {
                list.push(place);
            }
            let alone = DeviceFunction { bus, device, function: 0 };
            if function == 0 && header(access, alone) & HEADER_MULTIFUNCTION == 0 {
                break;
            }
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;

    /// Configuration words by place and offset.
    struct Fake(BTreeMap<(u8, u8, u8, u8), u32>);

    impl ConfigurationAccess for Fake {
        fn read_word(&self, at: DeviceFunction, offset: u8) -> u32 {
            self.0.get(&(at.bus, at.device, at.function, offset)).copied().unwrap_or(NOTHING)
        }
        fn write_word(&mut self, at: DeviceFunction, offset: u8, data: u32) {
            self.0.insert((at.bus, at.device, at.function, offset), data);
        }
        unsafe fn unsafe_clone(&self) -> Self {
            Self(self.0.clone())
        }
    }

    fn device(fake: &mut Fake, place: (u8, u8, u8), id: u32, header: u32) {
        fake.0.insert((place.0, place.1, place.2, ID), id);
        fake.0.insert((place.0, place.1, place.2, HEADER), header << 16);
    }

    #[test]
    fn devices_behind_bridges_and_in_other_functions_are_found() {
        let mut fake = Fake(BTreeMap::new());
        device(&mut fake, (0, 0, 0), 0x29c0_8086, 0);
        device(&mut fake, (0, 1, 0), 0x1042_1af4, 0x80);
        device(&mut fake, (0, 1, 3), 0x1041_1af4, 0x80);
        device(&mut fake, (0, 2, 0), 0x000c_1b36, 1);
        fake.0.insert((0, 2, 0, BRIDGE_BUSES), 0x0001_0100);
        device(&mut fake, (1, 0, 0), 0x1009_1af4, 0);
        let found: Vec<_> = scan(&fake).into_iter().map(|(at, id)| (at.bus, at.function, id)).collect();
        assert_eq!(found, [(0, 0, 0x1042), (0, 3, 0x1041), (1, 0, 0x1009)]);
    }

    #[test]
    fn a_bridge_that_points_back_ends_the_search() {
        let mut fake = Fake(BTreeMap::new());
        device(&mut fake, (0, 2, 0), 0x000c_1b36, 1);
        fake.0.insert((0, 2, 0, BRIDGE_BUSES), 0);
        assert!(scan(&fake).is_empty());
    }

    #[test]
    fn transitional_and_modern_identifiers_name_the_same_kinds() {
        assert_eq!(kind_number(0x1001), kind_number(0x1042));
        assert_eq!(kind_number(0x1009), kind_number(0x1049));
        assert_eq!(kind_number(0x1100), None);
    }
}
