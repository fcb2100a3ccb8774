//! The tuples and vectors of a volume, in an arena and named by index.
//!
//! Tuples may refer to each other freely (hard links do, and a damaged log may even build loops),
//! so nobody owns anybody: an [`ObjectId`] is an index, and a stale one finds nothing. What a tuple
//! *means* is in [`crate::node`].

use crate::Cause;
use crate::attributes::Attributes;
use crate::symbols::{Symbol, Symbols};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// A tuple or vector of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub(crate) u32);

/// The value of an attribute or of a vector's element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Present, without a value.
    Null,
    /// A tuple or vector.
    Object(ObjectId),
    /// A number with its sign.
    Integer {
        /// Below zero.
        negative: bool,
        /// Distance from zero.
        magnitude: u64,
    },
    /// Text. Untyped buffers of version 4 are text as well.
    Text(Box<[u8]>),
}

impl Value {
    /// A number that is not negative.
    #[must_use]
    pub fn number(magnitude: u64) -> Self {
        Value::Integer { negative: false, magnitude }
    }

    /// Text.
    #[must_use]
    pub fn text(bytes: &[u8]) -> Self {
        Value::Text(bytes.into())
    }

    /// The number, also when it is stored as decimal text.
    #[must_use]
    pub fn as_number(&self) -> Option<u64> {
        match self {
            Value::Integer { negative: false, magnitude } => Some(*magnitude),
            Value::Text(digits) => decimal(digits),
            _ => None,
        }
    }

    /// The text, if it is text.
    #[must_use]
    pub fn as_text(&self) -> Option<&[u8]> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The tuple or vector, if it is one.
    #[must_use]
    pub fn as_object(&self) -> Option<ObjectId> {
        match self {
            Value::Object(id) => Some(*id),
            _ => None,
        }
    }
}

/// A number from decimal digits alone.
#[must_use]
pub fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|d| *d < 10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// A tuple or a vector.
#[derive(Clone, Debug)]
pub enum Object {
    /// Values by name.
    Tuple(Attributes),
    /// Values by position.
    Vector(Vec<Value>),
}

/// All objects and names of a volume.
#[derive(Debug, Default)]
pub struct Tree {
    objects: Vec<Option<Object>>,
    vacant: Vec<u32>,
    /// The interned names.
    pub symbols: Symbols,
}

/// The root tuple: the first object of every volume.
pub const ROOT: ObjectId = ObjectId(0);

impl Tree {
    /// A tree without objects.
    #[must_use]
    pub fn new() -> Self {
        Tree::default()
    }

    /// Adds an object that nothing refers to yet. Error: `TooLarge`.
    pub fn add(&mut self, object: Object) -> Result<ObjectId, Cause> {
        if let Some(number) = self.vacant.pop()
            && let Some(place) = self.objects.get_mut(number as usize)
        {
            *place = Some(object);
            return Ok(ObjectId(number));
        }
        let number = u32::try_from(self.objects.len()).map_err(|_| Cause::TooLarge)?;
        self.objects.push(Some(object));
        Ok(ObjectId(number))
    }

    /// Adds an empty tuple.
    pub fn add_tuple(&mut self) -> Result<ObjectId, Cause> {
        self.add(Object::Tuple(Attributes::default()))
    }

    /// Drops an object. The caller vouches that nothing refers to it: its number is used again.
    pub fn discard(&mut self, id: ObjectId) {
        if let Some(place) = self.objects.get_mut(id.0 as usize)
            && place.take().is_some()
        {
            self.vacant.push(id.0);
        }
    }

    /// The object, if it exists.
    #[must_use]
    pub fn get(&self, id: ObjectId) -> Option<&Object> {
        self.objects.get(id.0 as usize)?.as_ref()
    }

    /// The object for changing, if it exists.
    pub fn get_mut(&mut self, id: ObjectId) -> Option<&mut Object> {
        self.objects.get_mut(id.0 as usize)?.as_mut()
    }

    /// The attributes of a tuple; `None` for vectors and stale numbers.
    #[must_use]
    pub fn tuple(&self, id: ObjectId) -> Option<&Attributes> {
        match self.get(id)? {
            Object::Tuple(attributes) => Some(attributes),
            Object::Vector(_) => None,
        }
    }

    /// One attribute of a tuple.
    #[must_use]
    pub fn attribute(&self, id: ObjectId, name: Symbol) -> Option<&Value> {
        self.tuple(id)?.get(name)
    }

    /// One attribute of a tuple by its name.
    #[must_use]
    pub fn attribute_named(&self, id: ObjectId, name: &[u8]) -> Option<&Value> {
        self.attribute(id, self.symbols.find(name)?)
    }

    /// Sets (or with `None` removes) an attribute in memory only. [`crate::Volume::change`] also
    /// logs it; this is for tuples that are not part of the volume yet.
    pub fn set(&mut self, id: ObjectId, name: Symbol, value: Option<Value>) -> Option<Value> {
        match (self.get_mut(id)?, value) {
            (Object::Tuple(attributes), Some(value)) => attributes.set(name, value),
            (Object::Tuple(attributes), None) => attributes.remove(name),
            (Object::Vector(_), _) => None,
        }
    }

    /// Numbers of all objects, ascending.
    pub fn ids(&self) -> impl Iterator<Item = ObjectId> {
        let places = self.objects.iter().enumerate();
        places.filter(|(_, object)| object.is_some()).map(|(number, _)| ObjectId(number as u32))
    }
}
