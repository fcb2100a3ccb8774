//! Sockets: addresses, messages, options (`linux/socket.h`, `linux/in.h`, `linux/in6.h`, `linux/un.h`).

use crate::layout;

layout! {
    /// `struct sockaddr_in`.
    pub struct SockaddrIn: 16 {
        /// `AF_INET`.
        0 family: u16,
        /// Port, network order.
        2 port: [u8; 2],
        /// Address, network order.
        4 address: [u8; 4],
    }

    /// `struct sockaddr_in6`.
    pub struct SockaddrIn6: 28 {
        /// `AF_INET6`.
        0 family: u16,
        /// Port, network order.
        2 port: [u8; 2],
        /// Flow label, network order.
        4 flow: u32,
        /// Address.
        8 address: [u8; 16],
        /// Interface index of a link-local address.
        24 scope: u32,
    }

    /// `struct sockaddr_un`.
    pub struct SockaddrUn: 110 {
        /// `AF_UNIX`.
        0 family: u16,
        /// Path, or NUL and an abstract name.
        2 path: [u8; 108],
    }

    /// `struct sockaddr_nl`.
    pub struct SockaddrNl: 12 {
        /// `AF_NETLINK`.
        0 family: u16,
        /// Port id.
        4 port: u32,
        /// Multicast groups.
        8 groups: u32,
    }

    /// `struct user_msghdr`.
    pub struct MsgHdr: 56 {
        /// Address buffer.
        0 name: u64,
        /// Its bytes.
        8 name_len: u32,
        /// `iovec` array.
        16 iov: u64,
        /// Its entries.
        24 iov_len: u64,
        /// Control buffer.
        32 control: u64,
        /// Its bytes.
        40 control_len: u64,
        /// `MSG_*` of the received message.
        48 flags: u32,
    }

    /// `struct mmsghdr`.
    pub struct MmsgHdr: 64 {
        /// The message.
        0 message: MsgHdr,
        /// Bytes moved.
        56 len: u32,
    }

    /// `struct cmsghdr`; data follows, aligned to 8 bytes.
    pub struct CmsgHdr: 16 {
        /// Bytes with this head.
        0 len: u64,
        /// Level.
        8 level: i32,
        /// Type.
        12 kind: i32,
    }

    /// `struct linger`.
    pub struct Linger: 8 {
        /// Whether to linger.
        0 on: i32,
        /// Seconds.
        4 seconds: i32,
    }

    /// `struct ucred`.
    pub struct Ucred: 12 {
        /// Process.
        0 pid: i32,
        /// User.
        4 uid: u32,
        /// Group.
        8 gid: u32,
    }
}

/// Families, types, levels, options and message flags, named as in the headers.
pub mod number {
    #![allow(missing_docs)] // names of linux/socket.h, asm-generic/socket.h, netinet/tcp.h
    pub const AF_UNSPEC: u16 = 0;
    pub const AF_UNIX: u16 = 1;
    pub const AF_INET: u16 = 2;
    pub const AF_INET6: u16 = 10;
    pub const AF_NETLINK: u16 = 16;
    pub const AF_PACKET: u16 = 17;
    pub const SOCK_STREAM: u32 = 1;
    pub const SOCK_DGRAM: u32 = 2;
    pub const SOCK_RAW: u32 = 3;
    pub const SOCK_SEQPACKET: u32 = 5;
    pub const SOCK_NONBLOCK: u32 = 0o4000;
    pub const SOCK_CLOEXEC: u32 = 0o2000000;
    pub const IPPROTO_IP: i32 = 0;
    pub const IPPROTO_ICMP: i32 = 1;
    pub const IPPROTO_TCP: i32 = 6;
    pub const IPPROTO_UDP: i32 = 17;
    pub const IPPROTO_IPV6: i32 = 41;
    pub const IPPROTO_ICMPV6: i32 = 58;
    pub const SOL_SOCKET: i32 = 1;
    pub const SO_DEBUG: i32 = 1;
    pub const SO_REUSEADDR: i32 = 2;
    pub const SO_TYPE: i32 = 3;
    pub const SO_ERROR: i32 = 4;
    pub const SO_DONTROUTE: i32 = 5;
    pub const SO_BROADCAST: i32 = 6;
    pub const SO_SNDBUF: i32 = 7;
    pub const SO_RCVBUF: i32 = 8;
    pub const SO_KEEPALIVE: i32 = 9;
    pub const SO_OOBINLINE: i32 = 10;
    pub const SO_PRIORITY: i32 = 12;
    pub const SO_LINGER: i32 = 13;
    pub const SO_REUSEPORT: i32 = 15;
    pub const SO_PASSCRED: i32 = 16;
    pub const SO_PEERCRED: i32 = 17;
    pub const SO_RCVLOWAT: i32 = 18;
    pub const SO_SNDLOWAT: i32 = 19;
    pub const SO_RCVTIMEO: i32 = 20;
    pub const SO_SNDTIMEO: i32 = 21;
    pub const SO_BINDTODEVICE: i32 = 25;
    pub const SO_ATTACH_FILTER: i32 = 26;
    pub const SO_TIMESTAMP: i32 = 29;
    pub const SO_ACCEPTCONN: i32 = 30;
    pub const SO_SNDBUFFORCE: i32 = 32;
    pub const SO_RCVBUFFORCE: i32 = 33;
    pub const SO_MARK: i32 = 36;
    pub const SO_PROTOCOL: i32 = 38;
    pub const SO_DOMAIN: i32 = 39;
    pub const SO_INCOMING_CPU: i32 = 49;
    pub const SO_BUSY_POLL: i32 = 46;
    pub const SO_ZEROCOPY: i32 = 60;
    pub const TCP_NODELAY: i32 = 1;
    pub const TCP_MAXSEG: i32 = 2;
    pub const TCP_CORK: i32 = 3;
    pub const TCP_KEEPIDLE: i32 = 4;
    pub const TCP_KEEPINTVL: i32 = 5;
    pub const TCP_KEEPCNT: i32 = 6;
    pub const TCP_SYNCNT: i32 = 7;
    pub const TCP_LINGER2: i32 = 8;
    pub const TCP_DEFER_ACCEPT: i32 = 9;
    pub const TCP_WINDOW_CLAMP: i32 = 10;
    pub const TCP_INFO: i32 = 11;
    pub const TCP_QUICKACK: i32 = 12;
    pub const TCP_CONGESTION: i32 = 13;
    pub const TCP_USER_TIMEOUT: i32 = 18;
    pub const TCP_FASTOPEN: i32 = 23;
    pub const TCP_FASTOPEN_CONNECT: i32 = 30;
    pub const IP_TOS: i32 = 1;
    pub const IP_TTL: i32 = 2;
    pub const IP_PKTINFO: i32 = 8;
    pub const IP_MTU_DISCOVER: i32 = 10;
    pub const IP_RECVERR: i32 = 11;
    pub const IP_MULTICAST_IF: i32 = 32;
    pub const IP_MULTICAST_TTL: i32 = 33;
    pub const IP_MULTICAST_LOOP: i32 = 34;
    pub const IP_ADD_MEMBERSHIP: i32 = 35;
    pub const IP_DROP_MEMBERSHIP: i32 = 36;
    pub const IPV6_UNICAST_HOPS: i32 = 16;
    pub const IPV6_MULTICAST_IF: i32 = 17;
    pub const IPV6_MULTICAST_HOPS: i32 = 18;
    pub const IPV6_MULTICAST_LOOP: i32 = 19;
    pub const IPV6_ADD_MEMBERSHIP: i32 = 20;
    pub const IPV6_DROP_MEMBERSHIP: i32 = 21;
    pub const IPV6_RECVERR: i32 = 25;
    pub const IPV6_V6ONLY: i32 = 26;
    pub const IPV6_RECVPKTINFO: i32 = 49;
    pub const IPV6_TCLASS: i32 = 67;
    pub const MSG_OOB: u32 = 0x1;
    pub const MSG_PEEK: u32 = 0x2;
    pub const MSG_DONTROUTE: u32 = 0x4;
    pub const MSG_CTRUNC: u32 = 0x8;
    pub const MSG_TRUNC: u32 = 0x20;
    pub const MSG_DONTWAIT: u32 = 0x40;
    pub const MSG_EOR: u32 = 0x80;
    pub const MSG_WAITALL: u32 = 0x100;
    pub const MSG_NOSIGNAL: u32 = 0x4000;
    pub const MSG_MORE: u32 = 0x8000;
    pub const MSG_WAITFORONE: u32 = 0x1_0000;
    pub const MSG_ZEROCOPY: u32 = 0x400_0000;
    pub const MSG_FASTOPEN: u32 = 0x2000_0000;
    pub const MSG_CMSG_CLOEXEC: u32 = 0x4000_0000;
    pub const SCM_RIGHTS: i32 = 1;
    pub const SCM_CREDENTIALS: i32 = 2;
}
