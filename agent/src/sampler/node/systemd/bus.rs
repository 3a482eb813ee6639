//! Asks systemd by D-Bus.

use std::fmt;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use zbus::{Connection, Message, ObjectPath, Variant};

use crate::sampler::MAX_ROUND;

/// Longest time of a reading, which makes hundreds of calls: no round waits longer.
const TIMEOUT: Duration = MAX_ROUND;

const DESTINATION: &str = "org.freedesktop.systemd1";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// What systemd answers. Tests have recorded answers instead.
pub(super) trait Systemd: Send + fmt::Debug {
    /// Starts a reading: all calls until the next one have one deadline.
    fn begin(&mut self) -> Result<(), CallError>;
    /// Lists all units.
    fn units(&mut self) -> Result<Vec<Unit>, CallError>;
    /// Returns a property of an object, such as `NRestarts` of the interface `Service`.
    fn property(&mut self, path: &str, interface: &str, name: &str) -> Result<Value, CallError>;

    /// Returns a property of systemd itself.
    fn manager_property(&mut self, name: &str) -> Result<Value, CallError> {
        self.property(MANAGER_PATH, "Manager", name)
    }
}

/// A unit, as systemd lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) name: String,
    pub(super) load_state: String,
    pub(super) active_state: String,
    pub(super) path: String,
}

/// Value of a property.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Number(u64),
    /// A type that no property used here has.
    Other,
}

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CallError {
    /// systemd answered with an error: it does not know the property, or the unit is gone.
    #[error("systemd: {0}")]
    Refused(String),
    /// There is no answer. The connection cannot be used any more.
    #[error("systemd does not answer: {0}")]
    Failed(String),
}

impl Value {
    pub(super) fn text(self) -> Option<String> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(super) fn number(self) -> Option<u64> {
        if let Self::Number(number) = self { Some(number) } else { None }
    }

    /// Decodes the answer of a call to `Get`.
    pub(super) fn decode(answer: &Message) -> zbus::Result<Self> {
        let body = answer.body();
        Ok(match body.deserialize()? {
            Variant::Str(text) => Self::Text(text.as_str().to_owned()),
            Variant::U32(number) => Self::Number(number.into()),
            Variant::U64(number) => Self::Number(number),
            _ => Self::Other,
        })
    }
}

impl Unit {
    /// Decodes the answer of a call to `ListUnits`.
    pub(super) fn decode_list(answer: &Message) -> zbus::Result<Vec<Self>> {
        /// Name, description, load state, active state, sub state, followed unit, path, and the
        /// number, type and path of its job.
        type Listed<'a> = (
            &'a str,
            &'a str,
            &'a str,
            &'a str,
            &'a str,
            &'a str,
            ObjectPath<'a>,
            u32,
            &'a str,
            ObjectPath<'a>,
        );
        let body = answer.body();
        let listed: Vec<Listed<'_>> = body.deserialize()?;
        let unit = |(name, _, load_state, active_state, _, _, path, ..): Listed<'_>| Self {
            name: name.to_owned(),
            load_state: load_state.to_owned(),
            active_state: active_state.to_owned(),
            path: path.as_str().to_owned(),
        };
        Ok(listed.into_iter().map(unit).collect())
    }
}

/// A connection to the system bus. It is opened when it is needed, and again after a failure.
#[derive(Debug)]
pub(super) struct SystemBus {
    /// Dropped before the runtime that its task runs on.
    connection: Option<Connection>,
    runtime: Runtime,
    deadline: Instant,
}

impl SystemBus {
    /// Creates a connection that is not open yet.
    pub(super) fn new() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { connection: None, runtime, deadline: Instant::now() })
    }

    /// Calls a method of an object. `Get` has the interface and the name of a property.
    fn call(
        &mut self,
        path: &str,
        interface: &str,
        method: &str,
        property: Option<(&str, &str)>,
    ) -> Result<Message, CallError> {
        let Self { connection: Some(connection), runtime, deadline } = self else {
            return Err(CallError::Failed("not connected".to_owned()));
        };
        let called = runtime.block_on(async {
            let (to, interface) = (Some(DESTINATION), Some(interface));
            tokio::time::timeout_at((*deadline).into(), async {
                match property {
                    Some(body) => connection.call_method(to, path, interface, method, &body).await,
                    None => connection.call_method(to, path, interface, method, &()).await,
                }
            })
            .await
        });
        let error = match called {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error @ (zbus::Error::FDO(_) | zbus::Error::MethodError(..)))) => {
                return Err(CallError::Refused(error.to_string()));
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "timed out".to_owned(),
        };
        self.connection = None;
        Err(CallError::Failed(error))
    }
}

impl Systemd for SystemBus {
    fn begin(&mut self) -> Result<(), CallError> {
        self.deadline = Instant::now() + TIMEOUT;
        if self.connection.as_ref().is_some_and(|connection| !connection.is_closed()) {
            return Ok(());
        }
        let connected = self.runtime.block_on(async {
            let connect = zbus::connection::Builder::system().build();
            tokio::time::timeout_at(self.deadline.into(), connect).await
        });
        let connected = connected.unwrap_or(Err(zbus::Error::Failure("timed out".into())));
        self.connection = Some(connected.map_err(|error| {
            CallError::Failed(format!("cannot connect to the system bus of D-Bus: {error}"))
        })?);
        Ok(())
    }

    fn units(&mut self) -> Result<Vec<Unit>, CallError> {
        let answer = self.call(MANAGER_PATH, MANAGER, "ListUnits", None)?;
        Unit::decode_list(&answer).map_err(|error| CallError::Failed(error.to_string()))
    }

    fn property(&mut self, path: &str, interface: &str, name: &str) -> Result<Value, CallError> {
        let interface = format!("{DESTINATION}.{interface}");
        let answer = self.call(path, PROPERTIES, "Get", Some((&interface, name)))?;
        Value::decode(&answer).map_err(|error| CallError::Failed(error.to_string()))
    }
}
