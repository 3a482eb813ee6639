//! Explains TLS errors, with what the operator can do.

use std::io;
use std::time::SystemTime;

use rustls::{AlertDescription, CertificateError, Error};

use super::TlsClient;

/// Explains an I/O error if it is a TLS error; otherwise returns its text.
pub(crate) fn explain(client: &TlsClient, error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    tls.map_or_else(|| error.to_string(), |error| Explain(client).tls(error))
}

/// Explains the errors of a client.
struct Explain<'a>(&'a TlsClient);

impl Explain<'_> {
    fn tls(&self, error: &Error) -> String {
        let text = match error {
            Error::InvalidCertificate(error) => return self.collector_rejected(error),
            Error::AlertReceived(AlertDescription::CertificateRequired) => {
                "the collector requires a client certificate; set --tls-certificate and --tls-key"
            }
            Error::AlertReceived(
                AlertDescription::CertificateUnknown
                | AlertDescription::BadCertificate
                | AlertDescription::UnknownCA
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateRevoked
                | AlertDescription::AccessDenied,
            ) => return self.agent_rejected(),
            Error::AlertReceived(AlertDescription::ProtocolVersion) => {
                "the collector does not support TLS 1.2 or 1.3"
            }
            Error::AlertReceived(AlertDescription::HandshakeFailure) => {
                "the port does not speak TLS or shares no cipher suite; give the collector a \
                 certificate (its --tls-certificate), or set --tls=false here"
            }
            Error::InvalidMessage(_) => {
                "the answer is not TLS; give the collector a certificate (its --tls-certificate)"
            }
            other => return format!("TLS failed: {other}"),
        };
        text.to_owned()
    }

    /// Explains that the collector rejected the agent's certificate, with the reason if the agent
    /// can see it.
    fn agent_rejected(&self) -> String {
        let text = "the collector rejected this agent's certificate";
        let file =
            self.0.settings().identity.as_ref().map(|identity| identity.certificate.display());
        match (self.0.check_validity(SystemTime::now()), file) {
            (Some(bad), _) => format!("{text}: {}", bad.problem()),
            (None, Some(file)) => format!("{text}, {file}; see the collector's log"),
            (None, None) => format!("{text}; see the collector's log"),
        }
    }

    /// Explains that the agent rejected the collector's certificate.
    fn collector_rejected(&self, error: &CertificateError) -> String {
        let text = match error {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                &*self.unknown_authority()
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "has expired; renew it (--tls-certificate of the collector)"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "is not valid yet; check the clock of this host"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "is for another name; connect to a name in it, or set --tls-server-name"
            }
            other => return format!("the collector's certificate is invalid: {other}"),
        };
        format!("the collector's certificate {text} ({error})")
    }

    /// Explains that no trusted CA signed the collector's certificate.
    fn unknown_authority(&self) -> String {
        match &self.0.settings().ca {
            Some(file) => {
                let file = file.display();
                format!("is not signed by a CA in {file}; check --tls-ca")
            }
            None => "is not signed by a CA in the system's trust store; set --tls-ca".to_owned(),
        }
    }
}
