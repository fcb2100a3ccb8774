//! The interface driver against a played device.

use super::*;
use crate::device::Kind;
use crate::fake::{Device, FakeTransport, TestMemory, device, segment};
use alloc::rc::Rc;

const CONFIG: [u8; 12] = [0x52, 0x54, 0, 1, 2, 3, 1, 0, 1, 0, 0xdc, 5];

fn interface(features: u64) -> (Rc<RefCell<Device>>, Net) {
    let (device, parts) = device(Kind::Net, 2, 256, features, &CONFIG);
    let net = Net::open(parts, Box::new(FakeTransport(device.clone())), 5, [0xff; 6]).expect("opens");
    (device, net)
}

#[test]
fn facts_come_from_the_device_where_it_states_them() {
    let (_, net) = interface(FEATURE_MAC | FEATURE_MTU | FEATURE_STATUS | feature::INDIRECT);
    let mac = [0x52, 0x54, 0, 1, 2, 3];
    assert_eq!(net.facts(), Facts { mac, mtu: 1500, link_up: true, receive_depth: 256, headroom: 0 });
    let (_, net) = interface(0);
    let mac = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(net.facts(), Facts { mac, mtu: 1500, link_up: true, receive_depth: 64, headroom: 0 });
}

#[test]
fn a_frame_goes_out_behind_an_empty_header() {
    let (device, net) = interface(feature::INDIRECT);
    let memory = TestMemory::new(4096);
    rt::sys::Memory::write(&*memory, 0, b"a frame of some bytes").expect("inside");
    let tag = net.transmit(&segment(&memory, 0, 21)).expect("room");
    let bytes = device.borrow_mut().answer(TRANSMIT, &[]);
    assert_eq!((&bytes[..12], &bytes[12..]), (&[0; 12][..], &b"a frame of some bytes"[..]));
    assert_eq!(net.transmitted(), Some(tag));
    assert_eq!(net.transmit(&segment(&memory, 0, 3)), Err(DeviceError::BadRequest));
}

#[test]
fn a_received_frame_is_counted_without_the_header() {
    let (device, net) = interface(feature::INDIRECT);
    let memory = TestMemory::new(4096);
    let tag = net.post(&segment(&memory, 0, 1600)).expect("room");
    device.borrow_mut().answer(RECEIVE, &[7; 12 + 60]);
    assert_eq!(net.received(), Some((tag, 60)));
    let mut byte = [0; 2];
    rt::sys::Memory::read(&*memory, 59, &mut byte).expect("inside");
    assert_eq!(byte, [7, 0]);
    assert_eq!(net.post(&segment(&memory, 0, 1000)), Err(DeviceError::BadRequest));
}
