//! Extended attributes: every attribute of a node whose name has a dot in it (FORMAT section 5).

use super::{Mount, bad_lease, options};
use alloc::vec;
use alloc::vec::Vec;
use protocol::LeaseId;
use protocol::fs::{Error, GetXattr, ListXattr, RemoveXattr, Result, SetXattr};
use rt::Context;
use tfs_format::tree::ROOT;
use tfs_format::{Value, symbols};

/// Longest value (`XATTR_SIZE_MAX`, limits.h).
const VALUE_MAX: u32 = 65_536;
/// Namespaces that are kept; others have no meaning here.
const NAMESPACES: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];

impl Mount {
    pub fn get_xattr(&self, cx: &Context, call: GetXattr<'_>) -> Result<u32> {
        let inode = self.handles.get(cx, call.node)?;
        let name = call.name.get();
        let tree = self.store.tree();
        if inode.node == ROOT && let Some(option) = name.strip_prefix(options::PREFIX) {
            let value = options::read(&tree, option).ok_or(Error::NoAttribute)?;
            return deliver(cx, call.dest, &value);
        }
        must_be_kept(name)?;
        match tree.attribute_named(inode.node, name) {
            Some(Value::Text(value)) => deliver(cx, call.dest, value),
            Some(Value::Null) => deliver(cx, call.dest, b""),
            _ => Err(Error::NoAttribute),
        }
    }

    pub fn set_xattr(&self, cx: &Context, call: SetXattr<'_>) -> Result<()> {
        let inode = self.handles.get(cx, call.node)?;
        let name = call.name.get();
        self.store.writable()?;
        must_be_kept(name)?;
        if call.len > VALUE_MAX {
            return Err(Error::Range);
        }
        let memory = cx.readable(call.src, call.len as usize).map_err(|_| Error::BadLease)?;
        let mut value = vec![0; call.len as usize];
        memory.read(0, &mut value).map_err(bad_lease)?;
        let exists = self.store.tree().attribute_named(inode.node, name).is_some();
        match call.create {
            Some(true) if exists => return Err(Error::Exists),
            Some(false) if !exists => return Err(Error::NoAttribute),
            _ => {}
        }
        let name = self.store.symbol(name)?;
        self.store.change_node(&inode, &[(name, Some(Value::text(&value)))])?;
        self.store.touch(&inode, &[symbols::CTIME]);
        Ok(())
    }

    pub fn list_xattr(&self, cx: &Context, call: ListXattr) -> Result<u32> {
        let inode = self.handles.get(cx, call.node)?;
        let tree = self.store.tree();
        let mut names = Vec::new();
        for (name, value) in tree.tuple(inode.node).into_iter().flat_map(|tuple| tuple.iter()) {
            let name = tree.symbols.name(name);
            if must_be_kept(name).is_ok() && matches!(value, Value::Text(_) | Value::Null) {
                names.extend_from_slice(name);
                names.push(0);
            }
        }
        deliver(cx, call.dest, &names)
    }

    pub fn remove_xattr(&self, cx: &Context, call: RemoveXattr<'_>) -> Result<()> {
        let inode = self.handles.get(cx, call.node)?;
        let name = call.name.get();
        self.store.writable()?;
        must_be_kept(name)?;
        if self.store.tree().attribute_named(inode.node, name).is_none() {
            return Err(Error::NoAttribute);
        }
        let name = self.store.symbol(name)?;
        self.store.change_node(&inode, &[(name, None)])?;
        self.store.touch(&inode, &[symbols::CTIME]);
        Ok(())
    }
}

/// Error: `NotSupported`.
fn must_be_kept(name: &[u8]) -> Result<()> {
    let kept = NAMESPACES.iter().any(|space| name.starts_with(space) && name.len() > space.len());
    if kept && !name.contains(&0) { Ok(()) } else { Err(Error::NotSupported) }
}

/// Places a value in the lease, or only says how long it is. Errors: `Range`, `BadLease`.
fn deliver(cx: &Context, dest: Option<LeaseId>, value: &[u8]) -> Result<u32> {
    if let Some(dest) = dest {
        let memory = cx.writable(dest, 0).map_err(|_| Error::BadLease)?;
        if memory.len() < value.len() {
            return Err(Error::Range);
        }
        memory.write(0, value).map_err(bad_lease)?;
    }
    u32::try_from(value.len()).map_err(|_| Error::Range)
}
