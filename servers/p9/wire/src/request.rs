//! T messages: what the client sends. One variant each, fields in wire order.

use crate::field::messages;
use crate::{Data, Names, SetAttr};

messages! {
    /// A request to the host.
    Request {
        /// Asks for the filesystem's size and room.
        Statfs = 8 {
            /// Any file of the filesystem.
            fid: u32,
        }
        /// Opens `fid` for I/O.
        Lopen = 12 {
            /// A walked fid that is not open yet.
            fid: u32,
            /// See [`crate::flags::open`].
            flags: u32,
        }
        /// Creates and opens a regular file; `fid` then stands for the file instead of the directory.
        Lcreate = 14 {
            /// The directory.
            fid: u32,
            /// Name of the new file.
            name: &'a [u8],
            /// See [`crate::flags::open`].
            flags: u32,
            /// Linux mode bits.
            mode: u32,
            /// Group of the new file.
            gid: u32,
        }
        /// Creates a symbolic link.
        Symlink = 16 {
            /// The directory.
            dfid: u32,
            /// Name of the link.
            name: &'a [u8],
            /// What it points at.
            target: &'a [u8],
            /// Group of the link.
            gid: u32,
        }
        /// Creates a device node, FIFO or socket.
        Mknod = 18 {
            /// The directory.
            dfid: u32,
            /// Name of the node.
            name: &'a [u8],
            /// Linux mode with type bits.
            mode: u32,
            /// Device major number.
            major: u32,
            /// Device minor number.
            minor: u32,
            /// Group of the node.
            gid: u32,
        }
        /// Moves the file that `fid` stands for.
        Rename = 20 {
            /// The file.
            fid: u32,
            /// New directory.
            dfid: u32,
            /// New name.
            name: &'a [u8],
        }
        /// Asks for the target of a symbolic link.
        Readlink = 22 {
            /// The link.
            fid: u32,
        }
        /// Asks for attributes.
        Getattr = 24 {
            /// The file.
            fid: u32,
            /// See [`crate::flags::getattr`].
            mask: u64,
        }
        /// Changes attributes.
        Setattr = 26 {
            /// The file.
            fid: u32,
            /// What to change.
            attr: SetAttr,
        }
        /// Makes `newfid` stand for an extended attribute, or for the list of them if `name` is empty.
        Xattrwalk = 30 {
            /// The file.
            fid: u32,
            /// A fid not in use.
            newfid: u32,
            /// Attribute name.
            name: &'a [u8],
        }
        /// Makes `fid` stand for a new extended attribute, to be filled by Twrite and set by Tclunk.
        Xattrcreate = 32 {
            /// The file; becomes the attribute.
            fid: u32,
            /// Attribute name.
            name: &'a [u8],
            /// Length of the value in bytes.
            size: u64,
            /// Linux `XATTR_CREATE`, `XATTR_REPLACE`.
            flags: u32,
        }
        /// Reads entries of an open directory.
        Readdir = 40 {
            /// The directory.
            fid: u32,
            /// 0, or the cookie of the last entry seen.
            offset: u64,
            /// Most bytes of entries.
            count: u32,
        }
        /// Makes a file durable.
        Fsync = 50 {
            /// The file.
            fid: u32,
            /// 1: the data only.
            datasync: u32,
        }
        /// Takes or releases a record lock.
        Lock = 52 {
            /// The file.
            fid: u32,
            /// See [`crate::flags::lock`].
            kind: u8,
            /// See [`crate::flags::lock`].
            flags: u32,
            /// First byte.
            start: u64,
            /// Bytes; 0 is "to the end".
            length: u64,
            /// Owner's process.
            proc_id: u32,
            /// Owner's machine.
            client_id: &'a [u8],
        }
        /// Asks which lock would be in the way.
        Getlock = 54 {
            /// The file.
            fid: u32,
            /// See [`crate::flags::lock`].
            kind: u8,
            /// First byte.
            start: u64,
            /// Bytes; 0 is "to the end".
            length: u64,
            /// Owner's process.
            proc_id: u32,
            /// Owner's machine.
            client_id: &'a [u8],
        }
        /// Gives a file another name.
        Link = 70 {
            /// Directory of the new name.
            dfid: u32,
            /// The file.
            fid: u32,
            /// The new name.
            name: &'a [u8],
        }
        /// Creates a directory.
        Mkdir = 72 {
            /// The parent.
            dfid: u32,
            /// Name of the new directory.
            name: &'a [u8],
            /// Linux mode bits.
            mode: u32,
            /// Group of the new directory.
            gid: u32,
        }
        /// Moves a name.
        Renameat = 74 {
            /// Old directory.
            old_dfid: u32,
            /// Old name.
            old_name: &'a [u8],
            /// New directory.
            new_dfid: u32,
            /// New name.
            new_name: &'a [u8],
        }
        /// Removes a name.
        Unlinkat = 76 {
            /// The directory.
            dfid: u32,
            /// The name.
            name: &'a [u8],
            /// See [`crate::flags::unlink`].
            flags: u32,
        }
        /// Starts a session: all fids of an earlier one are gone.
        Version = 100 {
            /// Longest message the client can take, in bytes.
            msize: u32,
            /// Wanted dialect.
            version: &'a [u8],
        }
        /// Starts authentication.
        Auth = 102 {
            /// A fid for the exchange.
            afid: u32,
            /// User name.
            uname: &'a [u8],
            /// Which tree.
            aname: &'a [u8],
            /// User number.
            n_uname: u32,
        }
        /// Binds `fid` to the root of the exported tree.
        Attach = 104 {
            /// The root fid.
            fid: u32,
            /// [`crate::NO_FID`], or the fid of an authentication.
            afid: u32,
            /// User name.
            uname: &'a [u8],
            /// Which tree.
            aname: &'a [u8],
            /// User number.
            n_uname: u32,
        }
        /// Drops interest in an earlier request.
        Flush = 108 {
            /// Its tag.
            oldtag: u16,
        }
        /// Walks names from `fid`; `newfid` stands for the end if all were found.
        Walk = 110 {
            /// Where to start.
            fid: u32,
            /// A fid not in use, or `fid` itself.
            newfid: u32,
            /// Up to [`crate::MAX_WALK`] names; none clones the fid.
            names: Names<'a>,
        }
        /// Reads data of an open file.
        Read = 116 {
            /// The file.
            fid: u32,
            /// Position in bytes.
            offset: u64,
            /// Most bytes.
            count: u32,
        }
        /// Writes data to an open file.
        Write = 118 {
            /// The file.
            fid: u32,
            /// Position in bytes.
            offset: u64,
            /// What to write.
            data: Data<'a>,
        }
        /// Gives up a fid.
        Clunk = 120 {
            /// The fid; free afterwards also if the reply is an error.
            fid: u32,
        }
        /// Removes the file of a fid and gives the fid up.
        Remove = 122 {
            /// The fid; free afterwards also if the reply is an error.
            fid: u32,
        }
    }
}
