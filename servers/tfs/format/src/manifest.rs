//! Manifest text (FORMAT section 14): the notation of Nanos' `mkfs` for tuples.
//!
//! [`parse`] reads it, [`Manifest::store`] puts it into a tree, [`Manifest::load`] reads root options
//! back from a volume.

use crate::Cause;
use crate::symbols;
use crate::tree::{Object, ObjectId, Tree, Value};
use alloc::vec::Vec;
use core::fmt;

/// Tuples may be nested this deep.
const DEPTH_MAX: usize = 64;

/// A value of the manifest. All scalars are text; numbers too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manifest {
    /// A word or quoted text.
    Text(Vec<u8>),
    /// Values by name, in the order of the text; no name twice.
    Tuple(Vec<(Vec<u8>, Manifest)>),
    /// Values in order.
    Vector(Vec<Manifest>),
}

/// What is wrong with a manifest, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManifestError {
    /// Line, counted from 1.
    pub line: usize,
    /// What was expected or is wrong.
    pub what: &'static str,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl core::error::Error for ManifestError {}

impl Manifest {
    /// Text from a string.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Manifest::Text(text.as_bytes().to_vec())
    }

    /// An empty tuple.
    #[must_use]
    pub fn tuple() -> Self {
        Manifest::Tuple(Vec::new())
    }

    /// The value of `name` in a tuple.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&Manifest> {
        match self {
            Manifest::Tuple(entries) => entries.iter().find(|(n, _)| n == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Sets `name` in a tuple, replacing what it was; does nothing to other values.
    pub fn set(&mut self, name: &[u8], value: Manifest) {
        if let Manifest::Tuple(entries) = self {
            match entries.iter_mut().find(|(n, _)| n == name) {
                Some((_, old)) => *old = value,
                None => entries.push((name.to_vec(), value)),
            }
        }
    }

    /// Adds the value to a tree that is being built.
    pub fn store(&self, tree: &mut Tree) -> Result<Value, Cause> {
        match self {
            Manifest::Text(text) => Ok(Value::text(text)),
            Manifest::Vector(elements) => {
                let elements = elements.iter().map(|e| e.store(tree)).collect::<Result<_, _>>()?;
                Ok(Value::Object(tree.add(Object::Vector(elements))?))
            }
            Manifest::Tuple(entries) => {
                let id = tree.add_tuple()?;
                for (name, value) in entries {
                    let value = value.store(tree)?;
                    let name = tree.symbols.intern(name)?;
                    tree.set(id, name, Some(value));
                }
                Ok(Value::Object(id))
            }
        }
    }

    /// Reads a tuple of a volume back, without `children`. Integers become decimal text, null becomes
    /// empty text; what is nested too deep (or in a loop) is left out.
    #[must_use]
    pub fn load(tree: &Tree, tuple: ObjectId) -> Self {
        load(tree, &Value::Object(tuple), 0).unwrap_or_else(Manifest::tuple)
    }
}

fn load(tree: &Tree, value: &Value, depth: usize) -> Option<Manifest> {
    if depth > DEPTH_MAX {
        return None;
    }
    let id = match value {
        Value::Null => return Some(Manifest::Text(Vec::new())),
        Value::Text(text) => return Some(Manifest::Text(text.to_vec())),
        Value::Integer { negative, magnitude } => {
            let sign = if *negative { "-" } else { "" };
            return Some(Manifest::Text(alloc::format!("{sign}{magnitude}").into_bytes()));
        }
        Value::Object(id) => *id,
    };
    match tree.get(id)? {
        Object::Vector(elements) => {
            Some(Manifest::Vector(elements.iter().filter_map(|e| load(tree, e, depth + 1)).collect()))
        }
        Object::Tuple(attributes) => {
            let wanted = attributes.iter().filter(|(name, _)| *name != symbols::CHILDREN);
            let entries = wanted.filter_map(|(name, value)| {
                Some((tree.symbols.name(name).to_vec(), load(tree, value, depth + 1)?))
            });
            Some(Manifest::Tuple(entries.collect()))
        }
    }
}

/// Parses one tuple, with nothing but white space and comments around it.
pub fn parse(text: &[u8]) -> Result<Manifest, ManifestError> {
    let mut parser = Parser { text, at: 0 };
    parser.blanks();
    if parser.peek() != Some(b'(') {
        return Err(parser.error("a manifest begins with '('"));
    }
    let tuple = parser.tuple(0)?;
    parser.blanks();
    match parser.peek() {
        None => Ok(tuple),
        Some(_) => Err(parser.error("only one tuple may stand in a manifest")),
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn error(&self, what: &'static str) -> ManifestError {
        let before = self.text.get(..self.at).unwrap_or(self.text);
        ManifestError { line: 1 + before.iter().filter(|byte| **byte == b'\n').count(), what }
    }

    /// Skips white space and comments; whether there was any.
    fn blanks(&mut self) -> bool {
        let start = self.at;
        while let Some(byte) = self.peek() {
            match byte {
                b'#' => {
                    while !matches!(self.peek(), None | Some(b'\n')) {
                        self.at += 1;
                    }
                }
                _ if is_blank(byte) => self.at += 1,
                _ => break,
            }
        }
        self.at > start
    }

    fn tuple(&mut self, depth: usize) -> Result<Manifest, ManifestError> {
        if depth > DEPTH_MAX {
            return Err(self.error("tuples are nested too deep"));
        }
        self.at += 1;
        let mut tuple = Manifest::tuple();
        loop {
            self.blanks();
            match self.peek() {
                None => return Err(self.error("a tuple is not closed with ')'")),
                Some(b')') => {
                    self.at += 1;
                    return Ok(tuple);
                }
                Some(_) => {}
            }
            let name = self.name()?;
            self.blanks();
            if self.next() != Some(b':') {
                return Err(self.error("a ':' must follow a name"));
            }
            let value = self.value(depth)?;
            tuple.set(&name, value);
        }
    }

    fn name(&mut self) -> Result<Vec<u8>, ManifestError> {
        if self.peek() == Some(b'"') {
            return self.quoted();
        }
        let start = self.at;
        while self.peek().is_some_and(|b| !is_blank(b) && !b":|/()[]\"".contains(&b)) {
            self.at += 1;
        }
        match self.text.get(start..self.at) {
            Some(name) if !name.is_empty() => Ok(name.to_vec()),
            _ => Err(self.error("a name is missing, or has one of | / ( ) [ ] in it")),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Manifest, ManifestError> {
        let blanks = self.blanks();
        match self.peek() {
            Some(b'(' | b'[') if blanks => Err(self.error("no white space may stand between ':' and '(' or '['")),
            Some(b'(') => self.tuple(depth + 1),
            Some(b'[') => self.vector(depth + 1),
            Some(b'"') => Ok(Manifest::Text(self.quoted()?)),
            _ => Ok(Manifest::Text(self.word())),
        }
    }

    fn vector(&mut self, depth: usize) -> Result<Manifest, ManifestError> {
        if depth > DEPTH_MAX {
            return Err(self.error("vectors are nested too deep"));
        }
        self.at += 1;
        let mut elements = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Manifest::Vector(elements));
        }
        loop {
            self.blanks();
            elements.push(match self.peek() {
                None => return Err(self.error("a vector is not closed with ']'")),
                Some(b'(') => self.tuple(depth)?,
                Some(b'[') => self.vector(depth + 1)?,
                Some(b'"') => Manifest::Text(self.quoted()?),
                // White space before ']' yields one more, empty, element: so does Nanos' parser.
                Some(b']') => Manifest::Text(Vec::new()),
                Some(b')') => return Err(self.error("a vector is closed with ']', not ')'")),
                Some(_) => Manifest::Text(self.word()),
            });
            if self.peek() == Some(b']') {
                self.at += 1;
                return Ok(Manifest::Vector(elements));
            }
        }
    }

    fn word(&mut self) -> Vec<u8> {
        let start = self.at;
        while self.peek().is_some_and(|b| !is_blank(b) && !b"()[]".contains(&b)) {
            self.at += 1;
        }
        self.text.get(start..self.at).unwrap_or(&[]).to_vec()
    }

    fn quoted(&mut self) -> Result<Vec<u8>, ManifestError> {
        self.at += 1;
        let mut text = Vec::new();
        loop {
            match self.next() {
                None => return Err(self.error("a quoted text is not closed")),
                Some(b'"') => return Ok(text),
                Some(b'\\') => text.extend(self.next()),
                Some(byte) => text.push(byte),
            }
        }
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(manifest: &Manifest, name: &str) -> Vec<u8> {
        match manifest.get(name.as_bytes()) {
            Some(Manifest::Text(text)) => text.clone(),
            other => panic!("{name} is {other:?}"),
        }
    }

    #[test]
    fn words_quotes_and_comments_are_read() {
        let m = parse(b"# head\n(a:b#c d : /x:y,|z \"e f\":\"g \\\"h\\n\" # tail\n i: j a:last k:)").unwrap();
        assert_eq!(text(&m, "a"), b"last");
        assert_eq!(text(&m, "d"), b"/x:y,|z");
        assert_eq!(text(&m, "e f"), b"g \"hn");
        assert_eq!(text(&m, "i"), b"j");
        assert_eq!(text(&m, "k"), b"");
    }

    #[test]
    fn tuples_and_vectors_nest() {
        let m = parse(b"(children:(bin:(children:())) arguments:[a \"b c\" (d:e) ] none:[])").unwrap();
        assert!(m.get(b"children").and_then(|c| c.get(b"bin")).is_some());
        let Some(Manifest::Vector(arguments)) = m.get(b"arguments") else { panic!("{m:?}") };
        assert_eq!(arguments.len(), 4);
        assert_eq!(m.get(b"none"), Some(&Manifest::Vector(Vec::new())));
    }

    #[test]
    fn errors_name_their_line() {
        for (bad, line) in [
            ("(a:b", 1),
            ("(a: (b:c))", 1),
            ("(\na\nb)", 3),
            ("(a:\"x", 1),
            ("()()", 1),
            ("a:b", 1),
            ("(a:[b)", 1),
            ("(a/b:c)", 1),
        ] {
            assert_eq!(parse(bad.as_bytes()).map_err(|e| e.line), Err(line), "{bad}");
        }
        let deep: Vec<u8> = b"(a:".iter().copied().cycle().take(30_000).collect();
        assert!(parse(&deep).is_err());
    }
}
