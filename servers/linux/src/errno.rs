//! Errors of the protocols as errnos: one exhaustive map per protocol.

use linux_abi::Errno;
use protocol::{console, fs, net};

/// Errors of a filesystem server.
pub(crate) fn from_fs(error: fs::Error) -> Errno {
    match error {
        fs::Error::BadHandle | fs::Error::Stale => Errno::ESTALE,
        fs::Error::NotFound => Errno::ENOENT,
        fs::Error::Exists => Errno::EEXIST,
        fs::Error::NotDirectory => Errno::ENOTDIR,
        fs::Error::IsDirectory => Errno::EISDIR,
        fs::Error::NotEmpty => Errno::ENOTEMPTY,
        fs::Error::NameTooLong => Errno::ENAMETOOLONG,
        fs::Error::NoSpace => Errno::ENOSPC,
        fs::Error::ReadOnly => Errno::EROFS,
        fs::Error::NotPermitted => Errno::EPERM,
        fs::Error::Access => Errno::EACCES,
        fs::Error::Invalid => Errno::EINVAL,
        fs::Error::TooManyLinks => Errno::EMLINK,
        fs::Error::CrossDevice => Errno::EXDEV,
        fs::Error::FileTooLarge => Errno::EFBIG,
        fs::Error::Io | fs::Error::BadLease | fs::Error::PeerGone | fs::Error::Malformed => Errno::EIO,
        fs::Error::Busy => Errno::EBUSY,
        fs::Error::NotSupported => Errno::EOPNOTSUPP,
        fs::Error::NoAttribute => Errno::ENODATA,
        fs::Error::Range => Errno::ERANGE,
        fs::Error::Loop => Errno::ELOOP,
        fs::Error::Again => Errno::EAGAIN,
        fs::Error::Quota => Errno::EDQUOT,
        fs::Error::TextBusy => Errno::ETXTBSY,
        fs::Error::NoMemory => Errno::ENOMEM,
        fs::Error::TooManyFiles => Errno::ENFILE,
    }
}

/// Errors of the console.
pub(crate) fn from_console(error: console::Error) -> Errno {
    match error {
        console::Error::NoStream | console::Error::Io => Errno::EIO,
        console::Error::BadLease | console::Error::PeerGone | console::Error::Malformed => Errno::EIO,
    }
}

/// Errors of the network.
pub(crate) fn from_net(error: net::Error) -> Errno {
    match error {
        net::Error::BadSocket => Errno::EBADF,
        net::Error::AddressInUse => Errno::EADDRINUSE,
        net::Error::AddressNotAvailable => Errno::EADDRNOTAVAIL,
        net::Error::NotSupported => Errno::EOPNOTSUPP,
        net::Error::Invalid => Errno::EINVAL,
        net::Error::Connected => Errno::EISCONN,
        net::Error::NotConnected => Errno::ENOTCONN,
        net::Error::Refused => Errno::ECONNREFUSED,
        net::Error::Reset => Errno::ECONNRESET,
        net::Error::Aborted => Errno::ECONNABORTED,
        net::Error::TimedOut => Errno::ETIMEDOUT,
        net::Error::NetUnreachable => Errno::ENETUNREACH,
        net::Error::HostUnreachable => Errno::EHOSTUNREACH,
        net::Error::NetDown => Errno::ENETDOWN,
        net::Error::NoBuffers => Errno::ENOBUFS,
        net::Error::PeerGone => Errno::ECONNRESET,
        net::Error::BadLease | net::Error::Malformed => Errno::EIO,
    }
}
