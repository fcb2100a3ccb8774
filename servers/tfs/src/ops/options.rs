//! Root options (FORMAT section 15): the manifest, for whoever boots from the volume.
//!
//! `GetXattr` on the root directory with the name `skiff.option.NAME` reads one. Text and numbers come as they
//! are; a vector as its elements, each ended by NUL; a tuple as `name=value`, each ended by NUL, in which what
//! is itself a tuple or vector has an empty value. Dots in NAME lead into tuples (`skiff.option.en1.mtu`).

use alloc::format;
use alloc::vec::Vec;
use tfs_format::tree::{Object, ROOT};
use tfs_format::{Tree, Value, symbols};

/// What stands before the option's name.
pub const PREFIX: &[u8] = b"skiff.option.";

/// The value of an option.
pub fn read(tree: &Tree, path: &[u8]) -> Option<Vec<u8>> {
    let mut at = ROOT;
    let mut rest = path;
    loop {
        // A name may itself have dots: the longest one that exists wins.
        if let Some(value) = tree.attribute_named(at, rest) {
            let hidden = tree.symbols.find(rest) == Some(symbols::CHILDREN);
            return if hidden { None } else { Some(listing(tree, value)) };
        }
        let dot = rest.iter().position(|byte| *byte == b'.')?;
        let (name, below) = (rest.get(..dot)?, rest.get(dot + 1..)?);
        if tree.symbols.find(name) == Some(symbols::CHILDREN) {
            return None;
        }
        at = tree.attribute_named(at, name)?.as_object()?;
        rest = below;
    }
}

fn listing(tree: &Tree, value: &Value) -> Vec<u8> {
    let object = value.as_object().and_then(|id| tree.get(id));
    let mut out = Vec::new();
    match object {
        None => return scalar(value),
        Some(Object::Vector(elements)) => {
            for element in elements {
                out.extend(scalar(element));
                out.push(0);
            }
        }
        Some(Object::Tuple(attributes)) => {
            for (name, value) in attributes.iter() {
                out.extend_from_slice(tree.symbols.name(name));
                out.push(b'=');
                out.extend(scalar(value));
                out.push(0);
            }
        }
    }
    out
}

fn scalar(value: &Value) -> Vec<u8> {
    match value {
        Value::Text(text) => text.to_vec(),
        Value::Integer { negative: false, magnitude } => format!("{magnitude}").into_bytes(),
        Value::Integer { negative: true, magnitude } => format!("-{magnitude}").into_bytes(),
        Value::Null | Value::Object(_) => Vec::new(),
    }
}
