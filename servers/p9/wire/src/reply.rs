//! R messages: what the host answers. One variant each, fields in wire order.

use crate::field::messages;
use crate::{Attr, Data, Qid, Qids, StatFs};

messages! {
    /// A reply of the host.
    Reply {
        /// The request failed.
        Lerror = 7 {
            /// Linux error number.
            ecode: u32,
        }
        /// Answers Tstatfs.
        Statfs = 9 {
            /// Size and room.
            stat: StatFs,
        }
        /// Answers Tlopen.
        Lopen = 13 {
            /// The opened file.
            qid: Qid,
            /// Preferred I/O size in bytes; 0 says nothing.
            iounit: u32,
        }
        /// Answers Tlcreate.
        Lcreate = 15 {
            /// The new file.
            qid: Qid,
            /// Preferred I/O size in bytes; 0 says nothing.
            iounit: u32,
        }
        /// Answers Tsymlink.
        Symlink = 17 {
            /// The new link.
            qid: Qid,
        }
        /// Answers Tmknod.
        Mknod = 19 {
            /// The new node.
            qid: Qid,
        }
        /// Answers Trename.
        Rename = 21 {}
        /// Answers Treadlink.
        Readlink = 23 {
            /// The target.
            target: &'a [u8],
        }
        /// Answers Tgetattr.
        Getattr = 25 {
            /// The attributes.
            attr: Attr,
        }
        /// Answers Tsetattr.
        Setattr = 27 {}
        /// Answers Txattrwalk.
        Xattrwalk = 31 {
            /// Length of the value, or of the list, in bytes.
            size: u64,
        }
        /// Answers Txattrcreate.
        Xattrcreate = 33 {}
        /// Answers Treaddir; see [`crate::DirEntries`].
        Readdir = 41 {
            /// Whole entries; none at the end of the directory.
            data: Data<'a>,
        }
        /// Answers Tfsync.
        Fsync = 51 {}
        /// Answers Tlock.
        Lock = 53 {
            /// See [`crate::flags::lock`].
            status: u8,
        }
        /// Answers Tgetlock: the lock in the way, or kind `UNLCK`.
        Getlock = 55 {
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
        /// Answers Tlink.
        Link = 71 {}
        /// Answers Tmkdir.
        Mkdir = 73 {
            /// The new directory.
            qid: Qid,
        }
        /// Answers Trenameat.
        Renameat = 75 {}
        /// Answers Tunlinkat.
        Unlinkat = 77 {}
        /// Answers Tversion.
        Version = 101 {
            /// Longest message of the session in bytes; at most what was asked.
            msize: u32,
            /// The dialect, or `unknown`.
            version: &'a [u8],
        }
        /// Answers Tauth.
        Auth = 103 {
            /// The authentication file.
            aqid: Qid,
        }
        /// Answers Tattach.
        Attach = 105 {
            /// The root.
            qid: Qid,
        }
        /// Answers Tflush: the old request will not be answered any more.
        Flush = 109 {}
        /// Answers Twalk: one qid per name that was found; fewer than asked leaves `newfid` unused.
        Walk = 111 {
            /// What stands behind each name.
            qids: Qids<'a>,
        }
        /// Answers Tread.
        Read = 117 {
            /// The data; none at the end of the file.
            data: Data<'a>,
        }
        /// Answers Twrite.
        Write = 119 {
            /// Bytes taken.
            count: u32,
        }
        /// Answers Tclunk.
        Clunk = 121 {}
        /// Answers Tremove.
        Remove = 123 {}
    }
}
