//! Changes become log payloads (FORMAT section 6), always in version 5.

use crate::header::{self, Header};
use crate::numbering::Numbering;
use crate::symbols::{self, Symbol};
use crate::tree::{Object, ObjectId, Tree, Value};
use crate::varint::write_varint;
use alloc::vec::Vec;

/// One attribute to set, or with `None` to remove.
pub type Change = (Symbol, Option<Value>);

/// Writes payloads for one log.
pub struct Encoder<'a> {
    tree: &'a Tree,
    numbering: &'a mut Numbering,
    out: Vec<u8>,
    deferred: Vec<ObjectId>,
}

/// A new object whose contents are being written.
enum Frame {
    /// The attribute written last.
    Tuple(ObjectId, Option<Symbol>),
    /// The element to write next.
    Vector(ObjectId, usize),
}

impl<'a> Encoder<'a> {
    /// Begins a payload. Numbers are given out at once; `Numbering::undo` takes them back.
    pub fn new(tree: &'a Tree, numbering: &'a mut Numbering) -> Self {
        numbering.begin();
        Encoder { tree, numbering, out: Vec::new(), deferred: Vec::new() }
    }

    /// "Set these attributes of a known tuple." `None` if the log does not know the tuple.
    ///
    /// Objects in the values that the log does not know are written whole, known ones by reference.
    pub fn changes(mut self, target: ObjectId, changes: &[Change]) -> Option<Encoded> {
        let slot = self.numbering.object(target)?;
        self.header(false, header::TUPLE, changes.len() as u64);
        write_varint(&mut self.out, slot);
        for (name, value) in changes {
            self.name(*name);
            match value {
                Some(value) => self.value(Some(*name), value),
                None => self.header(true, header::BUFFER, 0),
            }
        }
        Some(Encoded { payload: self.out, deferred: self.deferred })
    }

    /// An object that the log does not know, whole: the root tuple of a new log.
    #[must_use]
    pub fn whole(mut self, id: ObjectId) -> Encoded {
        self.value(None, &Value::Object(id));
        Encoded { payload: self.out, deferred: self.deferred }
    }

    fn header(&mut self, immediate: bool, kind: u8, number: u64) {
        header::write(&mut self.out, Header { immediate, kind, number });
    }

    fn name(&mut self, symbol: Symbol) {
        if let Some(slot) = self.numbering.symbol(symbol) {
            self.header(false, header::BUFFER, slot);
            return;
        }
        let tree = self.tree;
        let name = tree.symbols.name(symbol);
        self.header(true, header::BUFFER, name.len() as u64);
        self.out.extend_from_slice(name);
        self.numbering.define_symbol(symbol);
    }

    /// Writes a value and everything new below it, without recursion.
    fn value(&mut self, name: Option<Symbol>, value: &Value) {
        let tree = self.tree;
        let mut stack = Vec::new();
        self.one(name, value, &mut stack);
        while let Some(frame) = stack.last_mut() {
            match frame {
                Frame::Tuple(id, position) => {
                    let next = tree.tuple(*id).and_then(|attributes| attributes.after(*position).next());
                    let Some((name, value)) = next else {
                        stack.pop();
                        continue;
                    };
                    *position = Some(name);
                    self.name(name);
                    self.one(Some(name), value, &mut stack);
                }
                Frame::Vector(id, index) => {
                    let next = match tree.get(*id) {
                        Some(Object::Vector(elements)) => elements.get(*index),
                        _ => None,
                    };
                    let Some(value) = next else {
                        stack.pop();
                        continue;
                    };
                    *index += 1;
                    self.one(None, value, &mut stack);
                }
            }
        }
    }

    /// Writes one scalar, reference, or the header of a new object.
    fn one(&mut self, name: Option<Symbol>, value: &Value, stack: &mut Vec<Frame>) {
        match value {
            Value::Null => {
                self.header(true, header::BUFFER, 1);
                self.out.push(0);
            }
            Value::Integer { negative, magnitude } => {
                self.header(true, header::INTEGER, u64::from(*negative));
                write_varint(&mut self.out, *magnitude);
            }
            Value::Text(text) => {
                self.header(true, header::STRING, text.len() as u64);
                self.out.extend_from_slice(text);
            }
            Value::Object(id) => self.object(name, *id, stack),
        }
    }

    fn object(&mut self, name: Option<Symbol>, id: ObjectId, stack: &mut Vec<Frame>) {
        let tree = self.tree;
        let (kind, count) = match tree.get(id) {
            Some(Object::Vector(elements)) => (header::VECTOR, elements.len()),
            Some(Object::Tuple(attributes)) => (header::TUPLE, attributes.len()),
            // A stale number: an empty tuple keeps the log well-formed.
            None => (header::TUPLE, 0),
        };
        if let Some(slot) = self.numbering.object(id) {
            self.header(false, kind, 0);
            write_varint(&mut self.out, slot);
            return;
        }
        self.numbering.define_object(id);
        // The entries of a new directory follow in records of their own, so that no payload has to
        // hold a whole tree.
        if name == Some(symbols::CHILDREN) && kind == header::TUPLE {
            self.header(true, kind, 0);
            if count > 0 {
                self.deferred.push(id);
            }
            return;
        }
        self.header(true, kind, count as u64);
        stack.push(match kind {
            header::VECTOR => Frame::Vector(id, 0),
            _ => Frame::Tuple(id, None),
        });
    }
}

/// A finished payload.
#[derive(Debug)]
pub struct Encoded {
    /// The bytes of the record.
    pub payload: Vec<u8>,
    /// Tuples whose attributes still have to be logged.
    pub deferred: Vec<ObjectId>,
}
