//! Settings on the command line.

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::error::Error;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::declaration::Setting;
use super::error::Origin;
use super::kind::Kind;
use super::{Given, Layer};

/// The flags given on the command line, with their values as text.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// Whether `--check` was given: check the settings and exit.
    pub check: bool,
    values: Layer,
}

impl Flags {
    /// Adds the flags of the settings, and `--check`, to a command.
    #[must_use]
    pub fn add_to(command: Command, settings: &[Setting]) -> Command {
        let flags = settings.iter().filter(|setting| setting.is_flag).map(argument);
        let check = Arg::new("check")
            .long("check")
            .action(ArgAction::SetTrue)
            .help("Check the settings, print them and exit")
            .long_help(
                "Check the settings, print them and exit\n\nPrints each setting with its value and \
                 where it was set. Exits with 64 and names every error if any setting is invalid.",
            );
        command.args(flags).arg(check)
    }

    /// Reads the flags that were given on the command line.
    #[must_use]
    pub fn of_matches(settings: &'static [Setting], matches: &ArgMatches) -> Self {
        let mut flags = Self { check: matches.get_flag("check"), values: Layer::new() };
        for setting in settings.iter().filter(|setting| setting.is_flag) {
            if matches.value_source(setting.name) == Some(ValueSource::CommandLine) {
                let texts = matches.get_many::<String>(setting.name).into_iter().flatten();
                flags = texts.fold(flags, |flags, text| flags.with(setting, text));
            }
        }
        flags
    }

    /// Adds a value of a setting, as if it had been given on the command line.
    #[must_use]
    pub fn with(mut self, setting: &Setting, text: &str) -> Self {
        let origin = Origin::Flag(format!("--{}", setting.long_flag()));
        let is_split = setting.is_list && !matches!(setting.kind, Kind::Table(_));
        let texts = if is_split { split(text) } else { vec![text.to_owned()] };
        let given = Given::new(origin, texts);
        match self.values.get_mut(setting.name).filter(|_| setting.is_list) {
            Some(before) => before.values.extend(given.values),
            None => drop(self.values.insert(setting.name, given)),
        }
        self
    }

    /// Removes all values of a setting.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.values.remove(name);
        self
    }

    /// Replaces the values of a setting by those of the service manager's sockets.
    pub fn set_sockets(&mut self, name: &'static str, texts: Vec<String>) {
        self.values.insert(name, Given::new(Origin::Socket, texts));
    }

    pub(super) fn layer(&self) -> Layer {
        self.values.clone()
    }
}

/// Splits a list at its commas. An empty text is an empty list.
pub(super) fn split(text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    text.split(',').map(|item| item.trim().to_owned()).collect()
}

fn argument(setting: &Setting) -> Arg {
    let mut help = setting.help.to_owned();
    if setting.is_list {
        help.push_str(" (repeatable)");
    }
    if let Some(note) = setting.default_note {
        help.push_str(&format!(" [default: {note}]"));
    }
    let mut long_help = help.clone();
    if !setting.details.is_empty() {
        long_help.push_str(&format!("\n\n{}", setting.details));
    }
    if let Some(range) = setting.kind.range() {
        long_help.push_str(&format!("\n\n[range: {range}]"));
    }
    let mut arg = Arg::new(setting.name)
        .long(setting.long_flag())
        .value_name(setting.value_name)
        .action(if setting.is_list { ArgAction::Append } else { ArgAction::Set })
        .value_parser(AnyText(setting.kind))
        .help(help)
        .long_help(long_help);
    if let Some(heading) = setting.heading {
        arg = arg.help_heading(heading);
    }
    match (setting.kind, setting.default) {
        (Kind::Switch, _) => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        (_, Some(default)) => arg.default_value(default),
        (_, None) => arg,
    }
}

/// A clap value parser that accepts any text, because [`Layers`](super::Layers) reports all errors
/// together. Lists the possible values in `--help`.
#[derive(Debug, Clone)]
struct AnyText(Kind);

impl TypedValueParser for AnyText {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<String, Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        match self.0 {
            Kind::Choice(values) => Some(Box::new(values().into_iter())),
            _ => None,
        }
    }
}
