//! The attributes of one tuple: a map from [`Symbol`] to [`Value`].
//!
//! Most tuples have three to six attributes, some directories tens of thousands. The few live in a
//! sorted vector (small), the many in a tree (no long shifts).

use crate::symbols::Symbol;
use crate::tree::Value;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Bound;

/// Above this many attributes a tuple becomes a tree.
const FEW: usize = 32;

/// Attributes in the order of their symbols.
#[derive(Clone, Debug)]
pub struct Attributes(Repr);

#[derive(Clone, Debug)]
enum Repr {
    /// Sorted by symbol, no symbol twice.
    Few(Vec<(Symbol, Value)>),
    Many(BTreeMap<Symbol, Value>),
}

impl Default for Attributes {
    fn default() -> Self {
        Attributes(Repr::Few(Vec::new()))
    }
}

impl Attributes {
    /// Number of attributes.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Repr::Few(few) => few.len(),
            Repr::Many(many) => many.len(),
        }
    }

    /// No attributes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of an attribute.
    #[must_use]
    pub fn get(&self, name: Symbol) -> Option<&Value> {
        match &self.0 {
            Repr::Few(few) => {
                let at = few.binary_search_by_key(&name, |(n, _)| *n).ok()?;
                few.get(at).map(|(_, value)| value)
            }
            Repr::Many(many) => many.get(&name),
        }
    }

    /// Sets an attribute; returns what it replaced.
    pub fn set(&mut self, name: Symbol, value: Value) -> Option<Value> {
        let few = match &mut self.0 {
            Repr::Many(many) => return many.insert(name, value),
            Repr::Few(few) => few,
        };
        match few.binary_search_by_key(&name, |(n, _)| *n) {
            Ok(at) => few.get_mut(at).map(|(_, old)| core::mem::replace(old, value)),
            Err(at) if few.len() < FEW => {
                few.insert(at, (name, value));
                None
            }
            Err(_) => {
                let mut many: BTreeMap<_, _> = core::mem::take(few).into_iter().collect();
                many.insert(name, value);
                self.0 = Repr::Many(many);
                None
            }
        }
    }

    /// Removes an attribute; returns what it was.
    pub fn remove(&mut self, name: Symbol) -> Option<Value> {
        match &mut self.0 {
            Repr::Few(few) => {
                let at = few.binary_search_by_key(&name, |(n, _)| *n).ok()?;
                Some(few.remove(at).1)
            }
            Repr::Many(many) => many.remove(&name),
        }
    }

    /// All attributes.
    pub fn iter(&self) -> impl Iterator<Item = (Symbol, &Value)> {
        self.after(None)
    }

    /// The attributes whose symbols come after `position`, or all.
    pub fn after(&self, position: Option<Symbol>) -> impl Iterator<Item = (Symbol, &Value)> {
        let (few, many) = match &self.0 {
            Repr::Few(few) => {
                let from = position.map_or(0, |p| few.partition_point(|(n, _)| *n <= p));
                (few.get(from..).unwrap_or(&[]), None)
            }
            Repr::Many(many) => {
                let lower = position.map_or(Bound::Unbounded, Bound::Excluded);
                (&[][..], Some(many.range((lower, Bound::Unbounded))))
            }
        };
        let many = many.into_iter().flatten().map(|(n, v)| (*n, v));
        few.iter().map(|(n, v)| (*n, v)).chain(many)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_maps_answer_alike() {
        let mut map = Attributes::default();
        for n in (0..100).rev() {
            assert!(map.set(Symbol(n), Value::number(u64::from(n))).is_none());
        }
        assert_eq!(map.len(), 100);
        assert_eq!(map.get(Symbol(31)).and_then(Value::as_number), Some(31));
        assert_eq!(map.set(Symbol(31), Value::Null).and_then(|v| v.as_number()), Some(31));
        assert!(map.remove(Symbol(98)).is_some());
        let after: Vec<u32> = map.after(Some(Symbol(96))).map(|(n, _)| n.number()).collect();
        assert_eq!(after, [97, 99]);
    }
}
