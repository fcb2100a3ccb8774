//! Values of the command line's options: mounts, ports, sizes, variables, copied files.
//!
//! Every type parses from its text form ([`std::str::FromStr`]) and says in one sentence what is wrong with a bad
//! one; [`crate::cli`] shows that sentence together with the option. Nothing here looks at the host.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::str::FromStr;

/// Bytes in a MiB.
const MIB: u64 = 1024 * 1024;

/// Longest name of one path component in TFS (FORMAT.md section 5), in bytes.
const NAME_BYTES: usize = 255;

/// An absolute path inside the guest: normalised, without `.`, `..`, doubled or trailing slashes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GuestPath(String);

impl GuestPath {
    /// The root directory.
    pub fn root() -> GuestPath {
        GuestPath("/".to_owned())
    }

    /// The path as text, starting with a slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The components from the root downwards; none for the root itself.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|name| !name.is_empty())
    }

    /// This path with one more component. Errors: `name` cannot be a file's name.
    pub fn join(&self, name: &str) -> Result<GuestPath, String> {
        check_name(name)?;
        let parent = self.0.trim_end_matches('/');
        Ok(GuestPath(format!("{parent}/{name}")))
    }
}

impl FromStr for GuestPath {
    type Err = String;

    fn from_str(text: &str) -> Result<GuestPath, String> {
        if !text.starts_with('/') {
            return Err(format!("the guest path '{text}' must start with /"));
        }
        let mut path = GuestPath::root();
        for name in text.split('/').filter(|name| !name.is_empty() && *name != ".") {
            if name == ".." {
                return Err(format!("the guest path '{text}' must not contain .."));
            }
            path = path.join(name)?;
        }
        Ok(path)
    }
}

impl fmt::Display for GuestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Refuses what TFS and Linux refuse as a file's name.
fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(format!("'{name}' cannot be a file's name in the guest"));
    }
    if name.len() > NAME_BYTES {
        return Err(format!("the name '{name}' is longer than {NAME_BYTES} bytes"));
    }
    Ok(())
}

/// Who may write through a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The guest reads only; QEMU refuses the rest.
    ReadOnly,
    /// The guest reads and writes.
    ReadWrite,
}

/// A folder of the host that the guest sees live: `host:/guest[:ro]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Folder on the host.
    pub host: PathBuf,
    /// Where the guest sees it; never the root.
    pub guest: GuestPath,
    /// What the guest may do.
    pub access: Access,
}

impl FromStr for Mount {
    type Err = String;

    fn from_str(text: &str) -> Result<Mount, String> {
        let (pair, access) = match text.rsplit_once(':') {
            Some((pair, "ro")) => (pair, Access::ReadOnly),
            Some((pair, "rw")) => (pair, Access::ReadWrite),
            _ => (text, Access::ReadWrite),
        };
        let pair: HostToGuest = pair.parse().map_err(|why| format!("{why}; write host:/guest or host:/guest:ro"))?;
        if pair.guest == GuestPath::root() {
            return Err("a folder cannot be mounted over /; choose a path such as /data".to_owned());
        }
        Ok(Mount { host: pair.host, guest: pair.guest, access })
    }
}

/// Something of the host and its place in the guest: `host:/guest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostToGuest {
    /// File or folder on the host; it may contain colons.
    pub host: PathBuf,
    /// Its path in the guest.
    pub guest: GuestPath,
}

impl FromStr for HostToGuest {
    type Err = String;

    fn from_str(text: &str) -> Result<HostToGuest, String> {
        let Some((host, guest)) = split_at_guest_path(text) else {
            return Err(format!("'{text}' has no ':/', which separates the host's path from the guest's"));
        };
        if host.is_empty() {
            return Err(format!("'{text}' has no host path before the colon"));
        }
        let guest: GuestPath = guest.parse()?;
        match guest.as_str().contains(':') {
            true => Err(format!("the guest path '{guest}' must not contain a colon")),
            false => Ok(HostToGuest { host: PathBuf::from(host), guest }),
        }
    }
}

/// Splits at the last `:/`, so that a host path may hold colons.
fn split_at_guest_path(text: &str) -> Option<(&str, &str)> {
    let colon = text.rfind(":/")?;
    Some((text.get(..colon)?, text.get(colon + 1..)?))
}

/// Transport of a forwarded port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

impl Transport {
    /// The name that QEMU and people use.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        }
    }
}

/// A port of the host that leads into the guest: `[addr:]host:guest[/udp]`, or one number for both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortForward {
    /// Address to listen on.
    pub address: Ipv4Addr,
    /// Port on the host.
    pub host: u16,
    /// Port in the guest.
    pub guest: u16,
    /// TCP or UDP.
    pub transport: Transport,
}

impl FromStr for PortForward {
    type Err = String;

    fn from_str(text: &str) -> Result<PortForward, String> {
        let (ports, transport) = match text.rsplit_once('/') {
            None => (text, Transport::Tcp),
            Some((ports, "tcp")) => (ports, Transport::Tcp),
            Some((ports, "udp")) => (ports, Transport::Udp),
            Some((_, other)) => return Err(format!("'{other}' is not a transport; write /tcp or /udp")),
        };
        if ports.contains('[') {
            return Err("QEMU forwards IPv4 addresses only; write 127.0.0.1:8080:80".to_owned());
        }
        let fields: Vec<&str> = ports.split(':').collect();
        let (address, host, guest) = match fields[..] {
            [both] => (Ipv4Addr::LOCALHOST, both, both),
            [host, guest] => (Ipv4Addr::LOCALHOST, host, guest),
            [address, host, guest] => (parse_address(address)?, host, guest),
            _ => return Err("write [address:]host:guest[/udp], for example 8080:80 or 0.0.0.0:8080:80".to_owned()),
        };
        Ok(PortForward { address, host: parse_port(host)?, guest: parse_port(guest)?, transport })
    }
}

impl fmt::Display for PortForward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.address, self.host, self.transport.name())
    }
}

/// Reads the address a port is bound to.
fn parse_address(text: &str) -> Result<Ipv4Addr, String> {
    match text {
        "localhost" => Ok(Ipv4Addr::LOCALHOST),
        _ => text.parse().map_err(|_| format!("'{text}' is not an IPv4 address; write one such as 127.0.0.1")),
    }
}

/// Reads a port number; 0 is refused because nobody would know which port was taken.
fn parse_port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("'{text}' is not a port; give a number from 1 to 65535, as in -p 8080:80")),
    }
}

/// A variable of the program's environment: `NAME=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name, without `=`.
    pub name: String,
    /// Its value, which may be empty.
    pub value: String,
}

impl FromStr for Variable {
    type Err = String;

    fn from_str(text: &str) -> Result<Variable, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Variable { name: name.to_owned(), value: value.to_owned() }),
            _ => Err(format!("'{text}' is not a variable; write NAME=value")),
        }
    }
}

/// A number of bytes: a plain number counts MiB, the suffixes k, m, g (either case) say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(u64);

impl ByteSize {
    /// A size of whole MiB.
    pub const fn mib(count: u32) -> ByteSize {
        ByteSize(count as u64 * MIB)
    }

    /// A size of so many bytes.
    pub const fn of(bytes: u64) -> ByteSize {
        ByteSize(bytes)
    }

    /// The size in bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<ByteSize, String> {
        let wrong = || format!("'{text}' is not a size; write for example 512M or 2G");
        let (digits, unit) = match text.chars().last() {
            Some('k' | 'K') => (&text[..text.len() - 1], 1024),
            Some('m' | 'M') => (&text[..text.len() - 1], MIB),
            Some('g' | 'G') => (&text[..text.len() - 1], 1024 * MIB),
            _ => (text, MIB),
        };
        let count: u64 = digits.parse().map_err(|_| wrong())?;
        let bytes = count.checked_mul(unit).filter(|bytes| *bytes > 0 && *bytes < 1 << 50).ok_or_else(wrong)?;
        Ok(ByteSize(bytes))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes % MIB == 0 || bytes > 16 * MIB => write!(f, "{}M", bytes.div_ceil(MIB)),
            bytes => write!(f, "{}k", bytes.div_ceil(1024)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(text: &str) -> Result<Mount, String> {
        text.parse()
    }

    fn port(text: &str) -> Result<PortForward, String> {
        text.parse()
    }

    #[test]
    fn a_mount_is_writable_unless_it_says_ro() {
        assert_eq!(mount("site:/static").unwrap().access, Access::ReadWrite);
        let read_only = mount("site:/static:ro").unwrap();
        assert_eq!(read_only.access, Access::ReadOnly);
        assert_eq!(read_only.host, PathBuf::from("site"));
        assert_eq!(read_only.guest.as_str(), "/static");
    }

    #[test]
    fn a_host_path_may_hold_colons_and_blanks() {
        let mount = mount("/srv/a b:c:/data/").unwrap();
        assert_eq!(mount.host, PathBuf::from("/srv/a b:c"));
        assert_eq!(mount.guest.as_str(), "/data");
    }

    #[test]
    fn a_malformed_mount_is_refused_with_a_hint() {
        for text in ["site", "site:static", ":/static", "site:/", "site:/../x", "site:/static:rx"] {
            assert!(mount(text).is_err(), "{text}");
        }
        assert!(mount("site").unwrap_err().contains("host:/guest:ro"));
    }

    #[test]
    fn a_single_port_number_stands_for_both_sides_on_the_local_address() {
        let forward = port("8080").unwrap();
        assert_eq!((forward.address, forward.host, forward.guest), (Ipv4Addr::LOCALHOST, 8080, 8080));
        assert_eq!(forward.transport, Transport::Tcp);
    }

    #[test]
    fn a_port_takes_an_address_and_a_transport() {
        let forward = port("0.0.0.0:5353:53/udp").unwrap();
        assert_eq!((forward.address, forward.host, forward.guest), (Ipv4Addr::UNSPECIFIED, 5353, 53));
        assert_eq!(forward.to_string(), "0.0.0.0:5353/udp");
    }

    #[test]
    fn a_malformed_port_is_refused() {
        for text in ["", "0", "65536", "80:", ":80", "a:80:80", "1:2:3:4", "80/sctp", "[::1]:80:80", "-1"] {
            assert!(port(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_count_mib_unless_a_suffix_says_otherwise() {
        let bytes = |text: &str| text.parse::<ByteSize>().map(ByteSize::bytes);
        assert_eq!(bytes("512"), Ok(512 * MIB));
        assert_eq!(bytes("64k"), Ok(65536));
        assert_eq!(bytes("1G"), Ok(1024 * MIB));
        for text in ["", "M", "0", "-1", "1T", "99999999999G", "é"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_variable_may_be_empty_but_not_nameless() {
        let variable: Variable = "A=b=c".parse().unwrap();
        assert_eq!((variable.name.as_str(), variable.value.as_str()), ("A", "b=c"));
        assert!("=x".parse::<Variable>().is_err());
        assert!("x".parse::<Variable>().is_err());
    }

    #[test]
    fn guest_paths_are_normalised() {
        let path: GuestPath = "//a/./b//".parse().unwrap();
        assert_eq!(path.as_str(), "/a/b");
        assert_eq!(path.components().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(GuestPath::root().join("x").unwrap().as_str(), "/x");
    }
}
