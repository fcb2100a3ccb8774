//! The network interface: its address by DHCP, by argument, or by fallback.

use crate::Addressing;
use crate::conn::{instant, nanoseconds};
use crate::link::Link;
use crate::outlet::{Outlet, Wire};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use protocol::nic::NicInfo;
use rt::sys::Memory;
use smoltcp::iface::{PollResult, SocketHandle, SocketSet};
use smoltcp::socket::dhcpv4::{self, Event};
use smoltcp::time::Duration;
use smoltcp::wire::{EthernetAddress, Ipv4Cidr};

/// An interface's place in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Its address.
    pub address: Ipv4Addr,
    /// Bits of the network part, 0..=32.
    pub prefix_len: u8,
    /// Default gateway.
    pub gateway: Option<Ipv4Addr>,
    /// Name servers.
    pub dns: [Option<Ipv4Addr>; 3],
}

/// What QEMU's user network gives to its first guest: taken when nobody answers.
pub const FALLBACK: Lease = Lease {
    address: Ipv4Addr::new(10, 0, 2, 15),
    prefix_len: 24,
    gateway: Some(Ipv4Addr::new(10, 0, 2, 2)),
    dns: [Some(Ipv4Addr::new(10, 0, 2, 3)), None, None],
};

impl Lease {
    /// Whether the address can be an interface's.
    pub fn is_usable(&self) -> bool {
        let octets = self.address.octets();
        self.prefix_len <= 32 && !self.address.is_multicast() && !matches!(octets[0], 0 | 127 | 240..)
    }

    fn cidr(&self) -> Ipv4Cidr {
        Ipv4Cidr::new(self.address, self.prefix_len)
    }

    /// Whether `target` is reached without gateway.
    pub fn is_on_link(&self, target: Ipv4Addr) -> bool {
        target.is_broadcast() || self.cidr().contains_addr(&target)
    }

    /// Whether `target` is everybody in the network.
    pub fn is_broadcast(&self, target: Ipv4Addr) -> bool {
        target.is_broadcast() || self.cidr().broadcast() == Some(target)
    }
}

impl core::fmt::Display for Lease {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_len)?;
        if let Some(gateway) = self.gateway {
            write!(f, ", gateway {gateway}")?;
        }
        self.dns.iter().flatten().try_for_each(|server| write!(f, ", name server {server}"))
    }
}

struct Dhcp {
    set: SocketSet<'static>,
    handle: SocketHandle,
    /// When the fallback is taken, if there is one.
    fallback: Option<(u64, Lease)>,
}

/// `eth0`.
pub struct Lan {
    /// smoltcp's part, and the nic's buffers.
    pub link: Link,
    /// What the nic said of itself.
    pub info: NicInfo,
    /// Where its timer stands.
    pub armed: Option<u64>,
    lease: Option<Lease>,
    dhcp: Option<Dhcp>,
}

impl Lan {
    /// The interface behind a nic, which sends from `pages`.
    pub fn new(info: NicInfo, pages: Vec<Rc<dyn Memory>>, addressing: Addressing, seed: u64, now_ns: u64) -> Self {
        let outlet = Outlet::nic(info.mtu.into(), info.headroom.into(), pages);
        let link = Link::ethernet(outlet, EthernetAddress(info.mac), seed, now_ns);
        let mut lan = Self { link, info, armed: None, lease: None, dhcp: None };
        match addressing {
            Addressing::Static(lease) if lease.is_usable() => lan.configure(Some(lease)),
            Addressing::Static(_) | Addressing::Dhcp { fallback: None, .. } => lan.start_dhcp(None),
            Addressing::Dhcp { fallback: Some(lease), wait_ns } => lan.start_dhcp(Some((now_ns + wait_ns, lease))),
        }
        lan
    }

    fn start_dhcp(&mut self, fallback: Option<(u64, Lease)>) {
        let mut socket = dhcpv4::Socket::new();
        socket.set_retry_config(patience(Duration::from_secs(1)));
        let mut set = SocketSet::new(Vec::with_capacity(1));
        let handle = set.add(socket);
        self.dhcp = Some(Dhcp { set, handle, fallback });
    }

    /// The configuration in force.
    pub fn lease(&self) -> Option<Lease> {
        self.lease
    }

    /// Puts a configuration in force.
    fn configure(&mut self, lease: Option<Lease>) {
        self.lease = lease;
        self.link.iface.update_ip_addrs(|addresses| {
            addresses.clear();
            if let Some(lease) = lease {
                addresses.push(lease.cidr().into()).expect("there is room for one address");
            }
        });
        let routes = self.link.iface.routes_mut();
        routes.remove_default_ipv4_route();
        if let Some(gateway) = lease.and_then(|lease| lease.gateway) {
            // The table was emptied just before; a full one would merely leave the network without gateway.
            let _ = routes.add_default_ipv4_route(gateway);
        }
    }

    /// A DHCP answer came in.
    pub fn ingress_dhcp(&mut self, frame: &[u8], now_ns: u64) {
        let Some(dhcp) = &mut self.dhcp else { return };
        let mut wire = Wire { frame: Some(frame), outlet: &mut self.link.outlet };
        self.link.iface.poll_ingress_single(instant(now_ns), &mut wire, &mut dhcp.set);
    }

    /// Asks on, and takes what came of it; says whether the configuration has changed.
    pub fn service(&mut self, now_ns: u64) -> bool {
        let before = self.lease;
        let Some(dhcp) = &mut self.dhcp else { return false };
        let mut wire = Wire { frame: None, outlet: &mut self.link.outlet };
        while self.link.iface.poll_egress(instant(now_ns), &mut wire, &mut dhcp.set) == PollResult::SocketStateChanged {
        }
        let fallback = dhcp.fallback.map(|(_, lease)| lease);
        let new = match dhcp.set.get_mut::<dhcpv4::Socket<'_>>(dhcp.handle).poll() {
            Some(Event::Configured(config)) => Some(Some(lease_of(&config))),
            Some(Event::Deconfigured) if before.is_some() && before != fallback => Some(None),
            _ => None,
        };
        match new {
            Some(Some(lease)) if lease.is_usable() => {
                dhcp.fallback = None;
                self.configure_if_new(Some(lease));
            }
            Some(Some(_)) => {}
            Some(None) => self.configure_if_new(None),
            None => self.fall_back(now_ns),
        }
        self.lease != before
    }

    fn configure_if_new(&mut self, lease: Option<Lease>) {
        if self.lease != lease {
            self.configure(lease);
        }
    }

    fn fall_back(&mut self, now_ns: u64) {
        if let Some(dhcp) = &mut self.dhcp
            && let Some((at, lease)) = dhcp.fallback
            && at <= now_ns
            && self.lease.is_none()
        {
            dhcp.set.get_mut::<dhcpv4::Socket<'_>>(dhcp.handle).set_retry_config(patience(Duration::from_secs(60)));
            self.configure(Some(lease));
        }
    }

    /// When [`Lan::service`] is due.
    pub fn deadline_ns(&mut self, now_ns: u64) -> Option<u64> {
        let dhcp = self.dhcp.as_ref()?;
        let ask = self.link.iface.poll_at(instant(now_ns), &dhcp.set).map(|at| nanoseconds(at).max(now_ns + 1_000_000));
        let fall_back = dhcp.fallback.filter(|_| self.lease.is_none()).map(|(at, _)| at);
        [ask, fall_back].into_iter().flatten().min()
    }
}

/// How often a server is asked while none answers.
fn patience(every: Duration) -> dhcpv4::RetryConfig {
    let mut retry = dhcpv4::RetryConfig::default();
    retry.discover_timeout = every;
    retry.initial_request_timeout = Duration::from_secs(1);
    retry
}

fn lease_of(config: &dhcpv4::Config<'_>) -> Lease {
    let mut dns = [None; 3];
    for (place, server) in dns.iter_mut().zip(&config.dns_servers) {
        *place = Some(*server);
    }
    Lease { address: config.address.address(), prefix_len: config.address.prefix_len(), gateway: config.router, dns }
}
