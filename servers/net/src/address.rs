//! Addresses of the protocol and those of the stack, which is IPv4 inside.
//!
//! A socket of family V6 that is not V6-only speaks IPv4 and shows addresses mapped (RFC 4291 section 2.5.5.2).

use core::net::{Ipv4Addr, SocketAddrV4};
use protocol::net::{Address, Endpoint, Family};

/// Why an endpoint cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It is of a family that the socket does not speak.
    Family,
    /// It is an IPv6 address, which no interface has and no route leads to.
    Address,
}

/// The IPv4 address and port that an endpoint stands for; `None` is the unspecified address.
pub fn resolve(family: Family, endpoint: Endpoint) -> Result<(Option<Ipv4Addr>, u16), Unusable> {
    let address = match (endpoint.address, family) {
        (Address::V4(bytes), _) => Ipv4Addr::from(bytes),
        (Address::V6(_), Family::V4) => return Err(Unusable::Family),
        (Address::V6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), _) => Ipv4Addr::UNSPECIFIED,
        (Address::V6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]), _) => Ipv4Addr::new(a, b, c, d),
        (Address::V6(_), _) => return Err(Unusable::Address),
    };
    Ok(((!address.is_unspecified()).then_some(address), endpoint.port))
}

/// The endpoint as the socket's family shows it.
pub fn present(family: Family, address: Option<Ipv4Addr>, port: u16) -> Endpoint {
    let address = match (family, address) {
        (Family::V4, address) => Address::V4(address.unwrap_or(Ipv4Addr::UNSPECIFIED).octets()),
        (Family::V6 { .. }, None) => Address::V6([0; 16]),
        (Family::V6 { .. }, Some(address)) => Address::V6(address.to_ipv6_mapped().octets()),
    };
    Endpoint { address, port }
}

/// [`present`] for a whole socket address.
pub fn present_socket(family: Family, socket: SocketAddrV4) -> Endpoint {
    present(family, Some(*socket.ip()), socket.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUAL: Family = Family::V6 { only: false };

    #[test]
    fn mapped_addresses_go_both_ways() {
        let shown = present(DUAL, Some(Ipv4Addr::new(10, 0, 2, 15)), 80);
        assert_eq!(resolve(DUAL, shown), Ok((Some(Ipv4Addr::new(10, 0, 2, 15)), 80)));
        assert_eq!(resolve(DUAL, present(DUAL, None, 80)), Ok((None, 80)));
        assert_eq!(resolve(Family::V4, present(Family::V4, None, 7)), Ok((None, 7)));
    }

    #[test]
    fn foreign_addresses_are_told_apart() {
        let loopback6 = Endpoint { address: Address::V6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]), port: 1 };
        assert_eq!(resolve(DUAL, loopback6), Err(Unusable::Address));
        assert_eq!(resolve(Family::V4, loopback6), Err(Unusable::Family));
    }
}
