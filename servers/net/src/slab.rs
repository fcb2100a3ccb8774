//! Numbered places: a number stays valid until its entry is removed, then it is given out again.

use alloc::vec::Vec;

/// The places.
pub struct Slab<T> {
    entries: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// Puts an entry in a free place; returns its number.
    pub fn insert(&mut self, entry: T) -> u32 {
        if let Some(id) = self.free.pop() {
            self.entries[id as usize] = Some(entry);
            return id;
        }
        let id = u32::try_from(self.entries.len()).expect("memory ends long before 2^32 entries");
        self.entries.push(Some(entry));
        id
    }

    /// The entry with this number.
    pub fn get(&self, id: u32) -> Option<&T> {
        self.entries.get(id as usize)?.as_ref()
    }

    /// The entry with this number.
    pub fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        self.entries.get_mut(id as usize)?.as_mut()
    }

    /// Takes the entry out.
    pub fn remove(&mut self, id: u32) -> Option<T> {
        let entry = self.entries.get_mut(id as usize)?.take()?;
        self.free.push(id);
        Some(entry)
    }

    /// Entries there are.
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// All entries with their numbers.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        self.entries.iter_mut().enumerate().filter_map(|(id, entry)| Some((id as u32, entry.as_mut()?)))
    }
}
