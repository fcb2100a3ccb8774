//! Device interrupts as notifications.
//!
//! The core acknowledges the interrupt controller and sets a notification bit of the thread that is bound; the
//! driver does the rest. A level-triggered line stays masked until the driver calls [`Interrupt::acknowledge`].

use crate::arch::{apic, ioapic};
use crate::sync::IrqLock;
use crate::task::handle::Owned;
use crate::task::thread::Thread;
use alloc::sync::Arc;

/// Vectors for devices.
const FIRST_VECTOR: u8 = 0x30;
const VECTORS: usize = 0xa0;

/// How a line signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// By a change; ISA lines.
    Edge,
    /// As long as the device wants service.
    Level,
}

/// Why an interrupt cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IrqError {
    /// The interrupt controller has no such line.
    NoLine,
    /// All vectors are in use.
    NoVector,
}

#[derive(Clone)]
struct Slot {
    used: bool,
    /// Line of the I/O APIC, for level-triggered ones.
    level_line: Option<u32>,
    bound: Option<(Thread, u64)>,
}

static SLOTS: [IrqLock<Slot>; VECTORS] =
    [const { IrqLock::new(Slot { used: false, level_line: None, bound: None }) }; VECTORS];

struct Line {
    vector: u8,
    gsi: Option<u32>,
    level: bool,
}

/// An interrupt that a task owns. Dropping it (or dying) masks it.
pub struct Interrupt(Owned<Line>);

/// What a device writes to raise a message-signalled interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsiMessage {
    /// Where to.
    pub address: u64,
    /// What.
    pub data: u32,
}

fn claim_vector(level_line: Option<u32>) -> Result<u8, IrqError> {
    for (index, slot) in SLOTS.iter().enumerate() {
        let mut slot = slot.lock();
        if !slot.used {
            *slot = Slot { used: true, level_line, bound: None };
            return Ok(FIRST_VECTOR + index as u8);
        }
    }
    Err(IrqError::NoVector)
}

/// Claims a line of the I/O APIC; it is masked until it is bound.
///
/// Errors: `NoLine`, `NoVector`.
pub fn claim_gsi(gsi: u32, trigger: Trigger) -> Result<Interrupt, IrqError> {
    if gsi >= ioapic::lines() {
        return Err(IrqError::NoLine);
    }
    let level = trigger == Trigger::Level;
    let vector = claim_vector(level.then_some(gsi))?;
    ioapic::route(gsi, vector, apic::id(), level, true);
    Ok(Interrupt(Owned::new(Arc::new(Line { vector, gsi: Some(gsi), level }))))
}

/// Claims a message-signalled interrupt. Errors: `NoVector`.
pub fn claim_msi() -> Result<(Interrupt, MsiMessage), IrqError> {
    let vector = claim_vector(None)?;
    let message = MsiMessage { address: 0xfee0_0000 | u64::from(apic::id()) << 12, data: u32::from(vector) };
    Ok((Interrupt(Owned::new(Arc::new(Line { vector, gsi: None, level: false }))), message))
}

impl Interrupt {
    /// Has notification bit `bit` of `thread` set at each interrupt, from now on.
    pub fn bind(&self, thread: &Thread, bit: u8) {
        SLOTS[usize::from(self.0.vector - FIRST_VECTOR)].lock().bound = Some((thread.clone(), 1 << bit));
        if let Some(gsi) = self.0.gsi {
            ioapic::set_masked(gsi, false);
        }
    }

    /// Lets the next interrupt of a level-triggered line through.
    pub fn acknowledge(&self) {
        if self.0.level
            && let Some(gsi) = self.0.gsi
        {
            ioapic::set_masked(gsi, false);
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(gsi) = self.gsi {
            ioapic::set_masked(gsi, true);
        }
        let old = core::mem::replace(
            &mut *SLOTS[usize::from(self.vector - FIRST_VECTOR)].lock(),
            Slot { used: false, level_line: None, bound: None },
        );
        drop(old);
    }
}

/// Serves a device interrupt.
pub(crate) fn dispatch(vector: u8) {
    if let Some(slot) = vector.checked_sub(FIRST_VECTOR).and_then(|index| SLOTS.get(usize::from(index))) {
        let slot = slot.lock();
        if let Some(line) = slot.level_line {
            ioapic::set_masked(line, true);
        }
        if let Some((thread, bits)) = &slot.bound {
            thread.notify(*bits);
        }
    }
    apic::end_of_interrupt();
}
