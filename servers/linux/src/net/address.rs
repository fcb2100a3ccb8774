//! Socket addresses: bytes of the program, endpoints of the `net` protocol.

use crate::fs::node::Result;
use alloc::vec::Vec;
use linux_abi::socket::number::{AF_INET, AF_INET6, AF_UNSPEC};
use linux_abi::socket::{SockaddrIn, SockaddrIn6};
use linux_abi::{Errno, Layout};
use protocol::net::{Address, Endpoint};

/// Family of a socket address; `None` if it has no two bytes.
pub(crate) fn family(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_le_bytes([*bytes.first()?, *bytes.get(1)?]))
}

/// First bytes of an IPv4 address in IPv6 clothing.
const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/// The endpoint that `bytes` name, for a socket of family `own`.
///
/// Errors: `EINVAL` (too short), `EAFNOSUPPORT` (another family).
pub(crate) fn parse(own: u16, bytes: &[u8]) -> Result<Endpoint> {
    match (family(bytes).ok_or(Errno::EINVAL)?, own) {
        (AF_INET, AF_INET) => {
            if bytes.len() < SockaddrIn::BYTES {
                return Err(Errno::EINVAL);
            }
            let address = SockaddrIn::from_bytes(bytes);
            Ok(Endpoint { address: Address::V4(address.address), port: u16::from_be_bytes(address.port) })
        }
        (AF_INET6, AF_INET6) => {
            // The scope id at the end may be missing (RFC 2133).
            if bytes.len() < SockaddrIn6::BYTES - 4 {
                return Err(Errno::EINVAL);
            }
            let address = SockaddrIn6::from_bytes(bytes);
            Ok(Endpoint { address: Address::V6(address.address), port: u16::from_be_bytes(address.port) })
        }
        (AF_UNSPEC, AF_INET) if bytes.len() >= SockaddrIn::BYTES => {
            let address = SockaddrIn::from_bytes(bytes);
            // bind(2) to AF_UNSPEC with the wildcard address is accepted for old programs.
            if address.address == [0; 4] {
                Ok(Endpoint { address: Address::V4([0; 4]), port: u16::from_be_bytes(address.port) })
            } else {
                Err(Errno::EAFNOSUPPORT)
            }
        }
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

/// The socket address of `endpoint` as a socket of family `own` shows it.
pub(crate) fn emit(own: u16, endpoint: &Endpoint) -> Vec<u8> {
    let port = endpoint.port.to_be_bytes();
    if own == AF_INET6 {
        let address = match endpoint.address {
            Address::V6(address) => address,
            Address::V4([0, 0, 0, 0]) => [0; 16],
            Address::V4(address) => mapped(address),
        };
        return SockaddrIn6 { family: AF_INET6, port, address, ..SockaddrIn6::default() }.to_bytes().to_vec();
    }
    let address = match endpoint.address {
        Address::V4(address) => address,
        Address::V6(address) => [address[12], address[13], address[14], address[15]],
    };
    SockaddrIn { family: AF_INET, port, address }.to_bytes().to_vec()
}

fn mapped(address: [u8; 4]) -> [u8; 16] {
    let mut out = [0; 16];
    out[..12].copy_from_slice(&MAPPED);
    out[12..].copy_from_slice(&address);
    out
}

/// The address of a socket that has none.
pub(crate) fn nowhere(own: u16) -> Endpoint {
    let address = if own == AF_INET6 { Address::V6([0; 16]) } else { Address::V4([0; 4]) };
    Endpoint { address, port: 0 }
}

#[cfg(test)]
mod tests {
    use super::{emit, parse};
    use linux_abi::Errno;
    use linux_abi::socket::number::{AF_INET, AF_INET6};
    use protocol::net::{Address, Endpoint};

    #[test]
    fn an_address_survives_the_round_trip() {
        let endpoint = Endpoint { address: Address::V4([10, 0, 2, 15]), port: 8080 };
        let bytes = emit(AF_INET, &endpoint);
        assert_eq!(bytes[..8], [2, 0, 0x1f, 0x90, 10, 0, 2, 15]);
        assert_eq!(parse(AF_INET, &bytes), Ok(endpoint));
        assert_eq!(parse(AF_INET, &bytes[..15]), Err(Errno::EINVAL));
        assert_eq!(parse(AF_INET6, &bytes), Err(Errno::EAFNOSUPPORT));
    }

    #[test]
    fn an_ipv6_socket_shows_ipv4_peers_as_mapped_addresses() {
        let bytes = emit(AF_INET6, &Endpoint { address: Address::V4([1, 2, 3, 4]), port: 1 });
        assert_eq!(bytes[18..24], [0xff, 0xff, 1, 2, 3, 4]);
    }
}
