//! Slots of a log that is being written: which object and name has which number.
//!
//! The reverse of the dictionary that [`crate::decode`] builds. Compaction starts an empty one.

use crate::decode::Slot;
use crate::symbols::Symbol;
use crate::tree::ObjectId;
use alloc::vec::Vec;

/// Numbers given out so far. 0 in a table means "none".
#[derive(Debug, Default)]
pub struct Numbering {
    last: u64,
    objects: Vec<u64>,
    symbols: Vec<u64>,
    /// Numbers given out since [`Numbering::begin`].
    recent: Vec<Slot>,
}

impl Numbering {
    /// Goes on after a replayed dictionary.
    #[must_use]
    pub fn from_slots(slots: &[Slot]) -> Self {
        let mut numbering = Numbering::default();
        for slot in slots {
            numbering.last += 1;
            let number = numbering.last;
            match *slot {
                Slot::Object(id) => assign(&mut numbering.objects, id.0, number),
                Slot::Symbol(symbol) => assign(&mut numbering.symbols, symbol.number(), number),
            }
        }
        numbering
    }

    /// The slot of an object, if the log defines it.
    #[must_use]
    pub fn object(&self, id: ObjectId) -> Option<u64> {
        lookup(&self.objects, id.0)
    }

    /// The slot of a name, if the log defines it.
    #[must_use]
    pub fn symbol(&self, symbol: Symbol) -> Option<u64> {
        lookup(&self.symbols, symbol.number())
    }

    /// Begins a record: from here [`Numbering::undo`] takes back.
    pub fn begin(&mut self) {
        self.recent.clear();
    }

    /// Gives the next number to an object.
    pub fn define_object(&mut self, id: ObjectId) {
        self.last += 1;
        assign(&mut self.objects, id.0, self.last);
        self.recent.push(Slot::Object(id));
    }

    /// Gives the next number to a name.
    pub fn define_symbol(&mut self, symbol: Symbol) {
        self.last += 1;
        assign(&mut self.symbols, symbol.number(), self.last);
        self.recent.push(Slot::Symbol(symbol));
    }

    /// Takes back the numbers given out since `begin`: their record was not logged.
    pub fn undo(&mut self) {
        while let Some(slot) = self.recent.pop() {
            match slot {
                Slot::Object(id) => assign(&mut self.objects, id.0, 0),
                Slot::Symbol(symbol) => assign(&mut self.symbols, symbol.number(), 0),
            }
            self.last -= 1;
        }
    }

    /// Forgets an object that is being discarded, so that its index can serve another one.
    pub fn forget(&mut self, id: ObjectId) {
        if let Some(number) = self.objects.get_mut(id.0 as usize) {
            *number = 0;
        }
    }
}

fn assign(table: &mut Vec<u64>, index: u32, number: u64) {
    let index = index as usize;
    if index >= table.len() {
        table.resize(index + 1, 0);
    }
    if let Some(place) = table.get_mut(index) {
        *place = number;
    }
}

fn lookup(table: &[u64], index: u32) -> Option<u64> {
    table.get(index as usize).copied().filter(|number| *number != 0)
}
