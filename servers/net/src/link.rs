//! An interface as smoltcp has it, with its outlet and the empty set that strays are processed with.

use crate::conn::instant;
use crate::outlet::{Outlet, Wire};
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use smoltcp::iface::{Config, Interface, PollResult, SocketSet};
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr, Ipv4Cidr};

/// An interface.
pub struct Link {
    /// smoltcp's part.
    pub iface: Interface,
    /// Where its frames leave.
    pub outlet: Outlet,
    nobody: SocketSet<'static>,
}

impl Link {
    fn new(mut outlet: Outlet, hardware: HardwareAddress, seed: u64, now_ns: u64) -> Self {
        let mut config = Config::new(hardware);
        config.random_seed = seed;
        let mut wire = Wire { frame: None, outlet: &mut outlet };
        let iface = Interface::new(config, &mut wire, instant(now_ns));
        Self { iface, outlet, nobody: SocketSet::new(Vec::new()) }
    }

    /// The loopback: every address that is not the network's is its own.
    pub fn loopback(seed: u64, now_ns: u64) -> Self {
        let mut link = Self::new(Outlet::loopback(), HardwareAddress::Ip, seed, now_ns);
        link.iface.set_any_ip(true);
        link.set_alias(None);
        link
    }

    /// An Ethernet interface without address.
    pub fn ethernet(outlet: Outlet, mac: EthernetAddress, seed: u64, now_ns: u64) -> Self {
        Self::new(outlet, HardwareAddress::Ethernet(mac), seed, now_ns)
    }

    /// The loopback's addresses: 127.0.0.1, and that of the network interface, which is reached through it too.
    pub fn set_alias(&mut self, alias: Option<Ipv4Addr>) {
        self.iface.update_ip_addrs(|addresses| {
            addresses.clear();
            let own = [Some(Ipv4Cidr::new(Ipv4Addr::LOCALHOST, 8)), alias.map(|address| Ipv4Cidr::new(address, 32))];
            for address in own.into_iter().flatten() {
                addresses.push(IpCidr::Ipv4(address)).expect("there is room for two addresses");
            }
        });
    }

    /// Has smoltcp process a frame that belongs to no socket: answers to ARP and ping, RST, ICMP errors.
    pub fn stray(&mut self, frame: &[u8], now_ns: u64) {
        let mut wire = Wire { frame: Some(frame), outlet: &mut self.outlet };
        self.iface.poll_ingress_single(instant(now_ns), &mut wire, &mut self.nobody);
    }

    /// Sends what the sockets of a set have to send, as far as there is room.
    pub fn egress(&mut self, set: &mut SocketSet<'static>, now_ns: u64) {
        let mut wire = Wire { frame: None, outlet: &mut self.outlet };
        while self.iface.poll_egress(instant(now_ns), &mut wire, set) == PollResult::SocketStateChanged {}
    }
}
