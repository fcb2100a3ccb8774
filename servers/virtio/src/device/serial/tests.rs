//! The serial driver against a played device.

use super::*;
use crate::device::Kind;
use crate::fake::{Device, FakeTransport, TestMemory, device, segment};
use alloc::rc::Rc;

fn serial(features: u64, queues: u16) -> (Rc<RefCell<Device>>, Serial) {
    let (device, parts) = device(Kind::Serial, queues, 32, features, &[]);
    let serial = Serial::open(parts, Box::new(FakeTransport(device.clone())), 5).expect("opens");
    (device, serial)
}

fn say(device: &Rc<RefCell<Device>>, port: u32, event: u16, value: u16, name: &[u8]) {
    let mut message = port.to_le_bytes().to_vec();
    message.extend_from_slice(&event.to_le_bytes());
    message.extend_from_slice(&value.to_le_bytes());
    message.extend_from_slice(name);
    device.borrow_mut().answer(CONTROL_RECEIVE, &message);
}

#[test]
fn ports_are_added_named_and_opened_in_answer_to_the_host() {
    let (device, serial) = serial(FEATURE_MULTIPORT, 8);
    assert_eq!(device.borrow_mut().answer(CONTROL_TRANSMIT, &[])[4..], [0, 0, 1, 0]);
    say(&device, 2, event::PORT_ADD, 1, &[]);
    assert_eq!(serial.next_event(), None);
    assert_eq!(device.borrow_mut().answer(CONTROL_TRANSMIT, &[]), [2, 0, 0, 0, 3, 0, 1, 0]);
    assert_eq!(device.borrow_mut().answer(CONTROL_TRANSMIT, &[]), [2, 0, 0, 0, 6, 0, 1, 0]);
    say(&device, 2, event::PORT_NAME, 1, b"stdout");
    say(&device, 2, event::PORT_OPEN, 1, &[]);
    assert_eq!(serial.next_event(), Some(Event::Named(2, "stdout".into())));
    assert_eq!(serial.next_event(), Some(Event::Opened(2, true)));
    assert_eq!(serial.next_event(), None);
}

#[test]
fn control_messages_that_make_no_sense_are_skipped() {
    let (device, serial) = serial(FEATURE_MULTIPORT, 8);
    say(&device, 3, event::PORT_ADD, 1, &[]);
    say(&device, 0x1_0000, event::PORT_ADD, 1, &[]);
    say(&device, 1, event::PORT_NAME, 1, b"not added");
    device.borrow_mut().answer(CONTROL_RECEIVE, &[1, 2, 3]);
    assert_eq!(serial.next_event(), None);
}

#[test]
fn tags_of_different_ports_and_directions_differ() {
    let (device, serial) = serial(FEATURE_MULTIPORT, 8);
    for port in [0, 1] {
        say(&device, port, event::PORT_ADD, 1, &[]);
    }
    assert_eq!(serial.next_event(), None);
    let memory = TestMemory::new(4096);
    let piece = segment(&memory, 0, 5);
    let tags = [0, 1].map(|port| (serial.send(port, &piece).expect("room"), serial.post(port, &piece).expect("room")));
    let mut all = [tags[0].0, tags[0].1, tags[1].0, tags[1].1];
    all.sort();
    assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
    assert_eq!(device.borrow_mut().answer(5, &[]).len(), 5);
    device.borrow_mut().answer(4, b"abc");
    assert_eq!(serial.next_event(), Some(Event::Sent(tags[1].0)));
    assert_eq!(serial.next_event(), Some(Event::Received(tags[1].1, 3)));
    assert_eq!(serial.send(2, &piece), Err(DeviceError::BadRequest));
}

#[test]
fn a_device_without_a_control_channel_has_one_open_port() {
    let (_, serial) = serial(0, 2);
    assert_eq!(serial.next_event(), Some(Event::Named(0, "".into())));
    assert_eq!(serial.next_event(), Some(Event::Opened(0, true)));
    assert_eq!(serial.next_event(), None);
}
