//! A second implementation of the payload encoding: the crate wincode writes the same bytes and
//! reads ours.

use ::wincode::config::{self, Configuration};
use proptest::prelude::*;

use crate::owned::Owned;
use crate::strategies;
use fleetgauge_proto::frame::HEADER_LEN;

proptest! {
    #[test]
    fn wincode_writes_and_reads_the_same_bytes(message in strategies::message()) {
        let frame = message.frame();
        let ours = &frame[HEADER_LEN..];
        let varint = Configuration::default().with_varint_encoding();
        macro_rules! compare {
            ($($variant:ident)*) => {
                match &message {
                    $(Owned::$variant(inner) => {
                        let written = config::serialize(inner, varint).expect("is written");
                        prop_assert_eq!(&written, ours);
                        let read = config::deserialize_exact(ours, varint).expect("is read");
                        prop_assert_eq!(Owned::$variant(read), message.clone());
                    })*
                }
            };
        }
        compare!(Hello Welcome Catalog Rows Report Ping Pong Drain Reject Bye Acknowledge
            Resend);
    }
}
