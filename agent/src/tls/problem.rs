//! What went wrong between an agent and its collector, and what to do, in words.

use std::io;

use rustls::{AlertDescription, CertificateError, Error};

/// What a failure to read or write means where it is one of TLS; what the system says otherwise.
pub(crate) fn explain(error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    tls.map_or_else(|| error.to_string(), explain_tls)
}

fn explain_tls(error: &Error) -> String {
    let what = match error {
        Error::InvalidCertificate(error) => return explain_certificate(error),
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "the collector asks for a certificate: give this agent one by tls_certificate and tls_key"
        }
        Error::AlertReceived(
            AlertDescription::CertificateUnknown
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::AccessDenied,
        ) => "the collector does not accept this agent's certificate; the collector's log says why",
        Error::AlertReceived(AlertDescription::ProtocolVersion) => {
            "the collector does not speak this agent's versions of TLS"
        }
        Error::InvalidMessage(_) => {
            "what answers is not TLS; does the collector have a certificate (tls_certificate)?"
        }
        other => return format!("TLS failed: {other}"),
    };
    what.to_owned()
}

fn explain_certificate(error: &CertificateError) -> String {
    let what = match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "is not signed by an authority that this agent knows; is tls_ca the right file?"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "has expired; have it renewed"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet; is this host's clock right?"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "is for another name; connect by a name that it has, or give that as tls_server_name"
        }
        other => return format!("the collector's certificate will not do: {other}"),
    };
    format!("the collector's certificate {what} ({error})")
}
