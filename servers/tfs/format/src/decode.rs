//! Log payloads become objects (FORMAT sections 4.2 and 4.3), with one dictionary for the log.
//!
//! Nesting is followed with an explicit stack: a hostile log cannot exhaust the machine's.

use crate::header::{self, Header, Version};
use crate::symbols::Symbol;
use crate::tree::{Object, ObjectId, Tree, Value};
use crate::varint::Reader;
use crate::Cause;
use crate::attributes::Attributes;
use alloc::vec::Vec;

/// What a slot of the dictionary stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// A name.
    Symbol(Symbol),
    /// A tuple or vector.
    Object(ObjectId),
}

/// The dictionary of a log and the counters that decide about compaction.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Slot `n` is `slots[n - 1]`.
    slots: Vec<Slot>,
    /// Whether a symbol (by number) has been defined in this log.
    defined: Vec<bool>,
    duplicates: Vec<Symbol>,
    /// Attribute settings seen.
    pub entries: u64,
    /// Settings that later ones made obsolete (a removal counts twice, as in Nanos).
    pub obsolete: u64,
}

/// A composite whose contents are being decoded.
struct Frame {
    object: ObjectId,
    /// Elements still to come.
    left: u64,
    /// Position of the next element of a vector.
    next: usize,
}

/// A value, before it is known what to do with it.
enum Decoded {
    Remove,
    Plain(Value),
    Composite(Frame),
}

impl Decoder {
    /// All slots in order; the first has number 1.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Names that were defined more than once. Nanos would misnumber what it appends.
    #[must_use]
    pub fn duplicates(&self) -> &[Symbol] {
        &self.duplicates
    }

    /// Applies one record to the tree. The payload must be consumed exactly.
    pub fn apply(&mut self, tree: &mut Tree, payload: &[u8], version: Version) -> Result<(), Cause> {
        let reader = &mut Reader::new(payload);
        let mut stack = Vec::new();
        match self.value(tree, reader, version)? {
            Decoded::Composite(frame) if tree.tuple(frame.object).is_some() => stack.push(frame),
            _ => return Err(Cause::NotATuple),
        }
        while let Some(frame) = stack.last_mut() {
            if frame.left == 0 {
                stack.pop();
                continue;
            }
            frame.left -= 1;
            let (object, index) = (frame.object, frame.next);
            frame.next += 1;
            let name = match tree.get(object) {
                Some(Object::Tuple(_)) => Some(self.name(tree, reader, version)?),
                _ => None,
            };
            let value = match self.value(tree, reader, version)? {
                Decoded::Remove => None,
                Decoded::Plain(value) => Some(value),
                Decoded::Composite(inner) => {
                    let value = Value::Object(inner.object);
                    stack.push(inner);
                    Some(value)
                }
            };
            self.entries += 1;
            self.store(tree, object, name, index, value);
        }
        match reader.remaining() {
            0 => Ok(()),
            stray => Err(Cause::StrayBytes(stray)),
        }
    }

    fn store(&mut self, tree: &mut Tree, object: ObjectId, name: Option<Symbol>, index: usize, value: Option<Value>) {
        let removal = value.is_none();
        match (tree.get_mut(object), name) {
            (Some(Object::Tuple(attributes)), Some(name)) => {
                let old = match value {
                    Some(value) => attributes.set(name, value),
                    None => attributes.remove(name),
                };
                if old.is_some() {
                    self.obsolete += if removal { 2 } else { 1 };
                }
            }
            (Some(Object::Vector(elements)), _) => {
                let value = value.unwrap_or(Value::Null);
                match elements.get_mut(index) {
                    Some(element) => *element = value,
                    None => elements.push(value),
                }
            }
            _ => {}
        }
    }

    fn define(&mut self, slot: Slot) {
        self.slots.push(slot);
    }

    fn lookup(&self, slot: u64) -> Result<Slot, Cause> {
        let index = slot.checked_sub(1).and_then(|i| usize::try_from(i).ok());
        index.and_then(|i| self.slots.get(i)).copied().ok_or(Cause::DanglingSlot(slot))
    }

    fn lookup_symbol(&self, slot: u64) -> Result<Symbol, Cause> {
        match self.lookup(slot)? {
            Slot::Symbol(symbol) => Ok(symbol),
            Slot::Object(_) => Err(Cause::SlotKind(slot)),
        }
    }

    fn name(&mut self, tree: &mut Tree, reader: &mut Reader<'_>, version: Version) -> Result<Symbol, Cause> {
        let header = header::read(reader, version)?;
        match header {
            Header { kind, .. } if kind != header::BUFFER => Err(Cause::ValueType(kind)),
            Header { immediate: false, number, .. } => self.lookup_symbol(number),
            Header { number, .. } => {
                let symbol = tree.symbols.intern(reader.take(number)?)?;
                self.note_definition(symbol);
                self.define(Slot::Symbol(symbol));
                Ok(symbol)
            }
        }
    }

    fn note_definition(&mut self, symbol: Symbol) {
        let index = symbol.number() as usize;
        if index >= self.defined.len() {
            self.defined.resize(index + 1, false);
        }
        if let Some(defined) = self.defined.get_mut(index)
            && core::mem::replace(defined, true)
        {
            self.duplicates.push(symbol);
        }
    }

    fn value(&mut self, tree: &mut Tree, reader: &mut Reader<'_>, version: Version) -> Result<Decoded, Cause> {
        let header = header::read(reader, version)?;
        match header.kind {
            header::TUPLE | header::VECTOR => self.composite(tree, reader, header),
            header::INTEGER if header.immediate => {
                let magnitude = reader.varint()?;
                Ok(Decoded::Plain(Value::Integer { negative: header.number != 0, magnitude }))
            }
            header::BUFFER if header.number == 0 => Ok(Decoded::Remove),
            header::BUFFER | header::STRING if !header.immediate => {
                let symbol = self.lookup_symbol(header.number)?;
                Ok(Decoded::Plain(Value::text(tree.symbols.name(symbol))))
            }
            header::STRING => Ok(Decoded::Plain(Value::text(reader.take(header.number)?))),
            header::BUFFER => match reader.take(header.number)? {
                [0] => Ok(Decoded::Plain(Value::Null)),
                bytes => Ok(Decoded::Plain(Value::text(bytes))),
            },
            other => Err(Cause::ValueType(other)),
        }
    }

    fn composite(&mut self, tree: &mut Tree, reader: &mut Reader<'_>, header: Header) -> Result<Decoded, Cause> {
        let wants_tuple = header.kind == header::TUPLE;
        let object = if header.immediate {
            let object = tree.add(if wants_tuple {
                Object::Tuple(Attributes::default())
            } else {
                Object::Vector(Vec::new())
            })?;
            self.define(Slot::Object(object));
            object
        } else {
            let slot = reader.varint()?;
            match self.lookup(slot)? {
                Slot::Object(id) if tree.tuple(id).is_some() == wants_tuple => id,
                _ => return Err(Cause::SlotKind(slot)),
            }
        };
        Ok(Decoded::Composite(Frame { object, left: header.number, next: 0 }))
    }
}
