//! Random messages that decode without error. Their contents may be invalid.

use fleetgauge_proto::{capability, message};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use crate::owned::{
    Acknowledge, Bye, Catalog, Column, Drain, Extension, Family, Hello, Label, Owned, Ping, Pong,
    Reject, Report, Resend, RowChange, Rows, Table, Values, Welcome, WelcomeLimits,
};

/// A number near a boundary of the integer encoding, or any number.
pub(crate) fn number() -> impl Strategy<Value = u64> {
    const BOUNDARIES: [u64; 12] = [
        0,
        1,
        249,
        250,
        251,
        252,
        0xffff,
        0x1_0000,
        0xffff_ffff,
        0x1_0000_0000,
        u64::MAX - 1,
        u64::MAX,
    ];
    prop_oneof![proptest::sample::select(BOUNDARIES.to_vec()), any::<u64>()]
}

fn small() -> impl Strategy<Value = u32> {
    number().prop_map(|number| u32::try_from(number).unwrap_or(u32::MAX))
}

/// Text of any characters, sometimes too long for a one-byte length.
fn text() -> impl Strategy<Value = String> {
    let any = vec(any::<char>(), 0..12).prop_map(|chars| chars.into_iter().collect());
    prop_oneof![4 => any, 4 => "[a-z_]{1,12}", 1 => "[a-z]{248,260}"]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![9 => vec(any::<u8>(), 0..24), 1 => vec(any::<u8>(), 248..300)]
}

fn labels() -> impl Strategy<Value = Vec<Label>> {
    vec((text(), text()).prop_map(|(name, value)| Label { name, value }), 0..4)
}

/// Extensions with unknown ids.
fn extensions() -> impl Strategy<Value = Vec<Extension>> {
    btree_set(3..=u16::MAX, 0..5).prop_flat_map(|ids| {
        let each = ids.into_iter().map(|id| bytes().prop_map(move |data| Extension { id, data }));
        each.collect::<Vec<_>>()
    })
}

fn hello() -> impl Strategy<Value = Hello> {
    let catalogs = vec(any::<[u8; 16]>(), 0..=16);
    let identity = (text(), any::<[u8; 16]>(), any::<[u8; 16]>(), labels(), catalogs);
    let options = (any::<u8>(), any::<u8>(), number(), small(), "[ -~]{0,64}");
    let log = option::of(number());
    let parts = (identity, options, option::of(bytes()), extensions(), log);
    parts.prop_map(|(identity, options, credential, mut extensions, log)| {
        let (agent_id, host_nonce, process_nonce, labels, catalogs) = identity;
        let (min_version, max_version, capabilities, interval_ms, agent_version) = options;
        let capabilities = match log {
            Some(first) => {
                let mut data = Vec::new();
                message::Extension::log(first, &mut data);
                extensions.push(Extension { id: message::LOG, data });
                capabilities | capability::REPLAY
            }
            None => capabilities & !capability::REPLAY,
        };
        Hello {
            min_version,
            max_version,
            capabilities,
            agent_id,
            host_nonce,
            process_nonce,
            labels,
            interval_ms,
            agent_version,
            catalogs,
            credential,
            extensions,
        }
    })
}

fn welcome() -> impl Strategy<Value = Welcome> {
    let limits = (small(), small(), small(), small(), small()).prop_map(
        |(max_payload_bytes, max_families, max_series, max_values, max_label_bytes)| {
            WelcomeLimits {
                max_payload_bytes,
                max_families,
                max_series,
                max_values,
                max_label_bytes,
            }
        },
    );
    let numbers = (any::<u8>(), number(), number(), small(), number());
    (numbers, limits, any::<u16>(), extensions()).prop_map(
        |(numbers, limits, catalogs_known, extensions)| {
            let (version, capabilities, session_id, interval_ms, unix_ms) = numbers;
            Welcome {
                version,
                capabilities,
                session_id,
                interval_ms,
                unix_ms,
                limits,
                catalogs_known,
                extensions,
            }
        },
    )
}

fn catalog() -> impl Strategy<Value = Catalog> {
    let family = (text(), any::<u8>(), text(), text())
        .prop_map(|(name, kind, unit, help)| Family { name, kind, unit, help });
    let bound = any::<f64>().prop_filter("NaN differs from itself", |bound| !bound.is_nan());
    let column = (small(), small(), any::<u8>(), vec(bound, 0..5), labels()).prop_map(
        |(family, width, decimals, parameters, labels)| Column {
            family,
            width,
            decimals,
            parameters,
            labels,
        },
    );
    let table = (vec(text(), 0..3), vec(column, 0..4))
        .prop_map(|(row_labels, columns)| Table { row_labels, columns });
    (0..2_u32, any::<u8>(), vec(family, 0..4), vec(table, 0..3))
        .prop_map(|(stream, slot, families, tables)| Catalog { stream, slot, families, tables })
}

fn rows() -> impl Strategy<Value = Rows> {
    let change = (any::<u8>(), small(), vec(small(), 0..5), vec(text(), 0..6))
        .prop_map(|(slot, table, removed, added)| RowChange { slot, table, removed, added });
    (0..2_u32, vec(change, 0..4)).prop_map(|(stream, mut changes)| {
        changes.sort_by_key(|change| (change.slot, change.table));
        changes.dedup_by_key(|change| (change.slot, change.table));
        Rows { stream, changes }
    })
}

fn report() -> impl Strategy<Value = Report> {
    let values = prop_oneof![
        bytes().prop_map(Values::All),
        (bytes(), bytes()).prop_map(|(bitmap, values)| Values::Changed { bitmap, values }),
    ];
    (0..2_u32, number(), number(), values).prop_map(|(stream, sequence, unix_ms, values)| Report {
        stream,
        sequence,
        unix_ms,
        values,
    })
}

/// Any message except a skipped frame.
pub(crate) fn message() -> impl Strategy<Value = Owned> {
    let reject = (any::<u16>(), text(), option::of(small()))
        .prop_map(|(code, text, retry_after_ms)| Reject { stream: 0, code, text, retry_after_ms });
    prop_oneof![
        hello().prop_map(Owned::Hello),
        welcome().prop_map(Owned::Welcome),
        catalog().prop_map(Owned::Catalog),
        rows().prop_map(Owned::Rows),
        report().prop_map(Owned::Report),
        number().prop_map(|token| Owned::Ping(Ping { token })),
        number().prop_map(|token| Owned::Pong(Pong { token })),
        (small(), option::of(text()))
            .prop_map(|(delay_ms, target)| Owned::Drain(Drain { delay_ms, target })),
        reject.prop_map(Owned::Reject),
        any::<u8>().prop_map(|reason| Owned::Bye(Bye { stream: 0, reason })),
        (number(), number()).prop_map(|(sequence, unix_ms)| {
            Owned::Acknowledge(Acknowledge { stream: 1, sequence, unix_ms })
        }),
        (number(), small()).prop_map(|(first, reports)| Owned::Resend(Resend {
            stream: 1,
            first,
            reports
        })),
    ]
}
