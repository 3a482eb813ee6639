//! The difference between remote write 1.0 and 2.0: whether a series has its labels as text or as
//! references to the symbols of the request.

use super::protobuf::{
    FIELD_1, HELP, METADATA, SERIES, TYPE, UNIT, len_bytes, push_label_value, push_len, push_varint,
};
use super::symbols::SymbolTable;
use crate::config::Protocol;

/// Metadata of a family, which series of remote write 2.0 have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::remote_write) struct FamilyMetadata<'a> {
    /// Number of the metric type; 0 if it is unknown.
    pub(in crate::remote_write) kind: u8,
    pub(in crate::remote_write) help: &'a str,
    pub(in crate::remote_write) unit: &'a str,
}

/// How the labels of a request are encoded.
#[derive(Debug)]
pub(super) enum Coding {
    /// As text: remote write 1.0.
    Text,
    /// As references to symbols: remote write 2.0.
    Symbols(Box<SymbolTable>),
}

impl Coding {
    pub(super) fn new(protocol: Protocol) -> Self {
        match protocol {
            Protocol::V1 => Self::Text,
            Protocol::V2 => Self::Symbols(Box::default()),
        }
    }

    pub(super) fn protocol(&self) -> Protocol {
        match self {
            Self::Text => Protocol::V1,
            Self::Symbols(_) => Protocol::V2,
        }
    }

    pub(super) fn symbols(&self) -> Option<&SymbolTable> {
        match self {
            Self::Text => None,
            Self::Symbols(table) => Some(table),
        }
    }

    pub(super) fn symbols_mut(&mut self) -> Option<&mut SymbolTable> {
        match self {
            Self::Text => None,
            Self::Symbols(table) => Some(table),
        }
    }

    /// Appends a label of an agent or row. `name` is a part of the template.
    pub(super) fn push_label(&mut self, name: &[u8], value: &str, out: &mut Vec<u8>) {
        match self {
            Self::Text => push_label_value(name, value, out),
            Self::Symbols(table) => {
                out.extend_from_slice(name);
                Self::push_reference(table.symbol(value), out);
            }
        }
    }

    /// Appends what precedes the labels of a series: `labels` bytes of them, and `rest` of others.
    pub(super) fn push_head(&self, labels: usize, rest: usize, out: &mut Vec<u8>) {
        match self {
            Self::Text => {
                out.push(FIELD_1);
                push_len(labels + rest, out);
            }
            Self::Symbols(_) => {
                out.push(SERIES);
                push_len(1 + len_bytes(labels) + labels + rest, out);
                out.push(FIELD_1);
                push_len(labels, out);
            }
        }
    }

    /// Appends a reference to a symbol.
    pub(super) fn push_reference(symbol: u32, out: &mut Vec<u8>) {
        push_varint(symbol.into(), out);
    }

    /// Appends the field `metadata` of a series of remote write 2.0.
    pub(super) fn push_metadata(kind: u8, help: u32, unit: u32, out: &mut Vec<u8>) {
        let fields = [(TYPE, u32::from(kind)), (HELP, help), (UNIT, unit)];
        // Zero is the default.
        let fields = || fields.into_iter().filter(|(_, number)| *number > 0);
        let bytes = fields().map(|(_, number)| 1 + len_bytes(number as usize)).sum();
        out.push(METADATA);
        push_len(bytes, out);
        for (tag, number) in fields() {
            out.push(tag);
            push_varint(number.into(), out);
        }
    }

    /// Completes a request whose series are all encoded, and starts the next one.
    pub(super) fn finish(&mut self, request: &mut Vec<u8>) {
        let Self::Symbols(table) = self else { return };
        // Before the series: engines may resolve references while they read.
        let (symbols, series) = (table.encoded(), request.len());
        request.resize(series + symbols.len(), 0);
        request.copy_within(..series, symbols.len());
        if let Some(start) = request.get_mut(..symbols.len()) {
            start.copy_from_slice(symbols);
        }
        table.clear();
    }
}
