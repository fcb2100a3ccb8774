//! Which local ports are taken, by whom, and who may share them (socket(7), SO_REUSEADDR and SO_REUSEPORT).

use alloc::vec::Vec;
use core::net::Ipv4Addr;
use hashbrown::HashMap;

/// First port that the stack chooses itself (Linux's `ip_local_port_range`).
pub const FIRST_EPHEMERAL: u16 = 32_768;

/// Number of ports that the stack chooses from.
pub const EPHEMERALS: u16 = 28_232;

/// A socket's claim on a port.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// The socket.
    pub owner: u32,
    /// On this address only.
    pub address: Option<Ipv4Addr>,
    /// SO_REUSEADDR.
    pub reuse_address: bool,
    /// SO_REUSEPORT.
    pub reuse_port: bool,
    /// A TCP socket that listens.
    pub listening: bool,
}

impl Binding {
    fn overlaps(&self, other: &Self) -> bool {
        self.address.is_none() || other.address.is_none() || self.address == other.address
    }

    fn tolerates(&self, other: &Self) -> bool {
        let both_reuse = self.reuse_address && other.reuse_address && !self.listening && !other.listening;
        !self.overlaps(other) || both_reuse || (self.reuse_port && other.reuse_port)
    }
}

/// The ports of one transport protocol.
#[derive(Default)]
pub struct Ports(HashMap<u16, Vec<Binding>>);

impl Ports {
    /// Whether `binding` may have `port` beside those that have it already.
    pub fn allows(&self, port: u16, binding: &Binding) -> bool {
        self.at(port).iter().all(|other| other.owner == binding.owner || binding.tolerates(other))
    }

    /// Whether nobody has the port.
    pub fn is_free(&self, port: u16) -> bool {
        self.at(port).is_empty()
    }

    /// Notes a binding.
    pub fn add(&mut self, port: u16, binding: Binding) {
        self.0.entry(port).or_default().push(binding);
    }

    /// Drops the binding of `owner`.
    pub fn remove(&mut self, port: u16, owner: u32) {
        if let Some(bindings) = self.0.get_mut(&port) {
            bindings.retain(|binding| binding.owner != owner);
            if bindings.is_empty() {
                self.0.remove(&port);
            }
        }
    }

    /// Lets the socket listen; `false` if another one listens there.
    pub fn listen(&mut self, port: u16, owner: u32) -> bool {
        let Some(own) = self.at(port).iter().find(|binding| binding.owner == owner) else { return false };
        let wanted = Binding { listening: true, ..*own };
        let clash = |other: &Binding| other.owner != owner && other.listening && !wanted.tolerates(other);
        if self.at(port).iter().any(clash) {
            return false;
        }
        for binding in self.0.get_mut(&port).into_iter().flatten().filter(|binding| binding.owner == owner) {
            binding.listening = true;
        }
        true
    }

    /// All who have the port, oldest first.
    pub fn at(&self, port: u16) -> &[Binding] {
        self.0.get(&port).map_or(&[], Vec::as_slice)
    }

    /// The socket that a SYN to `address` and `port` goes to: the one with the address itself before those with any; those that
    /// share are chosen by `hash`.
    pub fn listener(&self, address: Ipv4Addr, port: u16, hash: u64) -> Option<u32> {
        let pick = |wanted: Option<Ipv4Addr>| {
            let fits = |binding: &&Binding| binding.listening && binding.address == wanted;
            let count = self.at(port).iter().filter(fits).count() as u64;
            let place = hash.checked_rem(count)?;
            self.at(port).iter().filter(fits).nth(place as usize).map(|binding| binding.owner)
        };
        pick(Some(address)).or_else(|| pick(None))
    }

    /// A port for which `usable` says yes, looked for from a random place on.
    pub fn choose(random: u64, usable: impl Fn(u16) -> bool) -> Option<u16> {
        let start = (random % u64::from(EPHEMERALS)) as u16;
        let port = |step| FIRST_EPHEMERAL + (start + step) % EPHEMERALS;
        (0..EPHEMERALS).map(port).find(|&port| usable(port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(owner: u32) -> Binding {
        Binding { owner, address: None, reuse_address: false, reuse_port: false, listening: false }
    }

    const HERE: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);

    #[test]
    fn a_port_goes_to_one_socket_per_address() {
        let mut ports = Ports::default();
        ports.add(80, Binding { address: Some(HERE), ..binding(1) });
        assert!(!ports.allows(80, &binding(2)));
        assert!(!ports.allows(80, &Binding { address: Some(HERE), ..binding(2) }));
        assert!(ports.allows(80, &Binding { address: Some(Ipv4Addr::LOCALHOST), ..binding(2) }));
        ports.remove(80, 1);
        assert!(ports.is_free(80));
    }

    #[test]
    fn reuse_address_shares_a_port_until_somebody_listens() {
        let mut ports = Ports::default();
        let reuse = |owner| Binding { reuse_address: true, ..binding(owner) };
        ports.add(80, reuse(1));
        assert!(ports.allows(80, &reuse(2)));
        ports.add(80, reuse(2));
        assert!(ports.listen(80, 1));
        assert!(!ports.listen(80, 2));
        assert!(!ports.allows(80, &reuse(3)));
    }

    #[test]
    fn reuse_port_spreads_connections_over_the_listeners() {
        let mut ports = Ports::default();
        for owner in 1..=2 {
            let wanted = Binding { reuse_port: true, ..binding(owner) };
            assert!(ports.allows(80, &wanted));
            ports.add(80, wanted);
            assert!(ports.listen(80, owner));
        }
        assert_eq!((ports.listener(HERE, 80, 4), ports.listener(HERE, 80, 5)), (Some(1), Some(2)));
        assert_eq!(ports.listener(HERE, 81, 0), None);
    }

    #[test]
    fn the_listener_with_the_address_itself_goes_first() {
        let mut ports = Ports::default();
        ports.add(80, Binding { reuse_port: true, ..binding(1) });
        ports.add(80, Binding { reuse_port: true, address: Some(HERE), ..binding(2) });
        assert!(ports.listen(80, 1) && ports.listen(80, 2));
        assert_eq!(ports.listener(HERE, 80, 0), Some(2));
        assert_eq!(ports.listener(Ipv4Addr::LOCALHOST, 80, 0), Some(1));
    }

    #[test]
    fn chosen_ports_lie_in_the_range_and_run_out_at_last() {
        assert_eq!(Ports::choose(u64::MAX, |port| port == FIRST_EPHEMERAL), Some(FIRST_EPHEMERAL));
        assert_eq!(Ports::choose(7, |_| false), None);
    }
}
