//! What went wrong between an agent and its collector, and what to do, in words.

use std::io;
use std::time::SystemTime;

use rustls::{AlertDescription, CertificateError, Error};

use super::Tls;

impl Tls {
    /// What a failure to read or write means where it is one of TLS; what the system says
    /// otherwise.
    pub(crate) fn explain(&self, error: &io::Error) -> String {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        tls.map_or_else(|| error.to_string(), |error| self.explain_tls(error))
    }

    fn explain_tls(&self, error: &Error) -> String {
        let what = match error {
            Error::InvalidCertificate(error) => return self.not_believed(error),
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
            ) => return self.not_accepted(),
            Error::AlertReceived(AlertDescription::ProtocolVersion) => {
                "the collector does not speak this agent's versions of TLS"
            }
            Error::AlertReceived(AlertDescription::HandshakeFailure) => {
                "the collector's port does not speak TLS, or no way of it that this agent does: \
                 give the collector a certificate (tls_certificate), or set tls = false here"
            }
            Error::InvalidMessage(_) => {
                "what answers is not TLS; does the collector have a certificate (tls_certificate)?"
            }
            other => return format!("TLS failed: {other}"),
        };
        what.to_owned()
    }

    /// The collector does not accept what this agent shows: the reason, if it can be seen from
    /// here.
    fn not_accepted(&self) -> String {
        let what = "the collector does not accept this agent's certificate";
        let file = self.settings().identity.as_ref().map(|identity| identity.certificate.display());
        match (self.out_of_date(SystemTime::now()), file) {
            (Some(bad), _) => format!("{what}: {}", bad.problem()),
            (None, Some(file)) => format!("{what}, {file}; the collector's log says why"),
            (None, None) => format!("{what}; the collector's log says why"),
        }
    }

    /// This agent does not believe what the collector shows.
    fn not_believed(&self, error: &CertificateError) -> String {
        let what = match error {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                &*self.unknown_authority()
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "has expired; have it renewed there (its tls_certificate)"
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

    fn unknown_authority(&self) -> String {
        match &self.settings().ca {
            Some(file) => {
                let file = file.display();
                format!("is not signed by an authority in {file} (tls_ca); is that the right file?")
            }
            None => "is not signed by an authority that this system trusts; name a file with its authority as tls_ca"
                .to_owned(),
        }
    }
}
