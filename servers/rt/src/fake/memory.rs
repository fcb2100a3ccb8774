//! Memory on the heap.

use crate::sys::{Memory, MemoryError};
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::any::Any;
use core::cell::{Cell, RefCell};

/// Bytes that can be revoked like a lease.
pub struct HeapMemory {
    bytes: RefCell<Vec<u8>>,
    revoked: Cell<bool>,
}

impl HeapMemory {
    /// `len` zero bytes.
    pub fn zeroed(len: usize) -> Rc<Self> {
        Self::new(vec![0; len])
    }

    /// These bytes.
    pub fn new(bytes: Vec<u8>) -> Rc<Self> {
        Rc::new(Self { bytes: RefCell::new(bytes), revoked: Cell::new(false) })
    }

    /// A copy of the contents.
    pub fn to_vec(&self) -> Vec<u8> {
        self.bytes.borrow().clone()
    }

    /// Ends all access.
    pub fn revoke(&self) {
        self.revoked.set(true);
    }

    fn range(&self, at: usize, len: usize) -> Result<core::ops::Range<usize>, MemoryError> {
        if self.revoked.get() {
            return Err(MemoryError::Revoked);
        }
        let end = at.checked_add(len).filter(|&end| end <= self.bytes.borrow().len());
        end.map(|end| at..end).ok_or(MemoryError::OutOfRange)
    }
}

impl Memory for HeapMemory {
    fn len(&self) -> usize {
        self.bytes.borrow().len()
    }
    fn read(&self, at: usize, out: &mut [u8]) -> Result<(), MemoryError> {
        let range = self.range(at, out.len())?;
        out.copy_from_slice(&self.bytes.borrow()[range]);
        Ok(())
    }
    fn write(&self, at: usize, bytes: &[u8]) -> Result<(), MemoryError> {
        let range = self.range(at, bytes.len())?;
        self.bytes.borrow_mut()[range].copy_from_slice(bytes);
        Ok(())
    }
    fn zero(&self, at: usize, len: usize) -> Result<(), MemoryError> {
        let range = self.range(at, len)?;
        self.bytes.borrow_mut()[range].fill(0);
        Ok(())
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}
