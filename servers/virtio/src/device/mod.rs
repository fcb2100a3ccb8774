//! The kinds of devices, each behind its trait of `rt::device`.

use crate::store::Shape;

pub(crate) mod block;
pub(crate) mod net;
pub(crate) mod p9;
pub(crate) mod rng;
pub(crate) mod serial;

/// What a device is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A disk.
    Block,
    /// A network interface.
    Net,
    /// A folder of the host.
    P9,
    /// Byte streams to the host.
    Serial,
    /// Randomness.
    Rng,
}

impl Kind {
    /// By virtio's number (VIRTIO 1.2 section 5). `None`: not driven here.
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Net),
            2 => Some(Self::Block),
            3 => Some(Self::Serial),
            4 => Some(Self::Rng),
            9 => Some(Self::P9),
            _ => None,
        }
    }

    /// The word that instances of this kind are named with (`block:0`).
    pub fn word(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Net => "nic",
            Self::P9 => "9p",
            Self::Serial => "serial",
            Self::Rng => "rng",
        }
    }

    /// What transfers look like on queue `queue`.
    pub(crate) fn shape(self, queue: u16) -> Shape {
        match self {
            Self::Block => block::SHAPE,
            Self::Net => net::SHAPE,
            Self::P9 => p9::SHAPE,
            Self::Serial => serial::shape(queue),
            Self::Rng => rng::SHAPE,
        }
    }
}
