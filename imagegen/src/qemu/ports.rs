//! Are the host's ports free? Asked before anything is booted, so that the answer names the port.

use std::io;
use std::net::{TcpListener, UdpSocket};

use crate::error::{Error, Result};
use crate::options::{PortForward, Transport};

/// A socket that holds a port while the others are tried, so that a port given twice is noticed.
enum Held {
    Tcp(#[expect(dead_code, reason = "held, never used")] TcpListener),
    Udp(#[expect(dead_code, reason = "held, never used")] UdpSocket),
}

/// Binds every port once and lets go of all. Errors: [`Error::PortInUse`].
pub fn check(ports: &[PortForward]) -> Result<()> {
    let mut held = Vec::new();
    for port in ports {
        held.push(bind(port).map_err(|why| Error::PortInUse { port: port.to_string(), why })?);
    }
    Ok(())
}

fn bind(port: &PortForward) -> io::Result<Held> {
    let address = (port.address, port.host);
    match port.transport {
        Transport::Tcp => TcpListener::bind(address).map(Held::Tcp),
        Transport::Udp => UdpSocket::bind(address).map(Held::Udp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_named() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let number = taken.local_addr().unwrap().port();
        let forward: PortForward = format!("{number}:80").parse().unwrap();
        let error = check(std::slice::from_ref(&forward)).unwrap_err().to_string();
        assert!(error.contains(&format!("127.0.0.1:{number}/tcp")), "{error}");
        drop(taken);
        assert!(check(std::slice::from_ref(&forward)).is_ok());
        assert!(check(&[forward.clone(), forward]).is_err());
    }
}
