//! Four layers become one configuration, each value with its origin.
//!
//! Shape: every key of `KEYS` is looked up in flags, variables, file and default, in this order;
//! what is in a layer but not in `KEYS` is an error. `x_file` / `X_FILE` reads the value of `x` from a file.
//! Not here: the keys (`keys`), the struct (`super`).

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use super::Config;
use super::keys::{self, KEYS, Key, Kind};
use super::suggest::nearest;

/// Why a configuration was refused. The text says what, where, and how to mend it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// Where values may come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// TOML file, when one is named or found.
    pub file: Option<PathBuf>,
    /// Environment variables that begin with `SEALWAY_`, and `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub env: Vec<(String, String)>,
    /// Keys set on the command line.
    pub flags: Vec<(&'static str, String)>,
}

/// Where a value came from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origin {
    /// The table of defaults.
    Default,
    /// A line of the file.
    File(PathBuf, usize),
    /// An environment variable.
    Variable(String),
    /// The command line.
    Flag,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => out.write_str("default"),
            Self::File(path, line) => write!(out, "{}:{line}", path.display()),
            Self::Variable(name) => write!(out, "environment {name}"),
            Self::Flag => out.write_str("flag"),
        }
    }
}

/// One key with its value as it may be printed.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Dotted name.
    pub name: &'static str,
    /// Value, or `(redacted)`, or `(unset)`.
    pub shown: String,
    /// Where it came from.
    pub origin: Origin,
}

/// A configuration with the origin of each value.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// One for each key, in the order of `KEYS`.
    pub settings: Vec<Setting>,
}

impl Loaded {
    /// Where the value of `name` came from.
    pub fn origin(&self, name: &str) -> Option<&Origin> {
        self.settings.iter().find(|setting| setting.name == name).map(|setting| &setting.origin)
    }
}

impl Sources {
    /// The process environment, and the file named by `SEALWAY_CONFIG` or `sealway.toml` here.
    pub fn from_environment(file: Option<PathBuf>, flags: Vec<(&'static str, String)>) -> Self {
        let env: Vec<(String, String)> = std::env::vars()
            .filter(|(name, _)| name.starts_with("SEALWAY_") || name == OTEL_ENDPOINT)
            .collect();
        let named = env.iter().find(|(name, _)| name == "SEALWAY_CONFIG");
        let file = file
            .or_else(|| named.map(|(_, path)| PathBuf::from(path)))
            .or_else(|| Some(PathBuf::from("sealway.toml")).filter(|path| path.exists()));
        Self { file, env, flags }
    }
}

/// Reads all layers.
///
/// # Errors
/// [`ConfigError`] with the place and the remedy.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let file = sources.file.as_deref().map(FileLayer::read).transpose()?;
    refuse_unknown_variables(&sources.env)?;
    let mut table = Table::new();
    let mut settings = Vec::with_capacity(KEYS.len());
    for key in KEYS {
        let (value, origin) = look_up(key, sources, file.as_ref())?;
        settings.push(Setting { name: key.name, shown: show(key, value.as_ref()), origin });
        if let Some(value) = value {
            insert(&mut table, key.name, value);
        }
    }
    for (section, _) in KEYS.iter().filter_map(|key| key.name.split_once('.')) {
        table.entry(section).or_insert_with(|| Value::Table(Table::new()));
    }
    let config = Config::deserialize(Value::Table(table))
        .map_err(|error| ConfigError(format!("configuration: {}", error.message())))?;
    Ok(Loaded { config, settings })
}

fn look_up(
    key: &Key,
    sources: &Sources,
    file: Option<&FileLayer>,
) -> Result<(Option<Value>, Origin), ConfigError> {
    if let Some((_, text)) = sources.flags.iter().find(|(name, _)| *name == key.name) {
        return Ok((parse(key, text, "flag")?, Origin::Flag));
    }
    let variable = key.variable();
    if let Some(text) = variable_text(&sources.env, &variable)? {
        return Ok((parse(key, &text, &variable)?, Origin::Variable(variable)));
    }
    if key.name == "telemetry.otlp_endpoint"
        && let Some((name, text)) = sources.env.iter().find(|(name, _)| name == OTEL_ENDPOINT)
    {
        return Ok((parse(key, text, name)?, Origin::Variable(name.clone())));
    }
    if let Some((value, origin)) = file.map(|file| file.value(key)).transpose()?.flatten() {
        return Ok((Some(value), origin));
    }
    Ok((parse(key, key.default, "default")?, Origin::Default))
}

fn variable_text(env: &[(String, String)], variable: &str) -> Result<Option<String>, ConfigError> {
    let find = |name: &str| env.iter().find(|(known, _)| known == name).map(|(_, text)| text);
    if let Some(text) = find(variable) {
        return Ok(Some(text.clone()));
    }
    let by_file = format!("{variable}_FILE");
    find(&by_file).map(|path| read_secret(Path::new(path), &by_file)).transpose()
}

fn read_secret(path: &Path, place: &str) -> Result<String, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
        Err(error) => Err(ConfigError(format!("{place}: cannot read {}: {error}", path.display()))),
    }
}

fn parse(key: &Key, text: &str, place: &str) -> Result<Option<Value>, ConfigError> {
    let wrong = |wanted: &str| {
        Err(ConfigError(format!("{place}: {} must be {wanted}, not {text:?}", key.name)))
    };
    Ok(Some(match key.kind {
        Kind::Text if text.is_empty() => return Ok(None),
        Kind::Text => Value::String(text.to_owned()),
        Kind::Number => match text.parse::<u32>() {
            Ok(number) => Value::Integer(i64::from(number)),
            Err(_) => return wrong("a whole number"),
        },
        Kind::Flag => match text {
            "true" | "1" => Value::Boolean(true),
            "false" | "0" => Value::Boolean(false),
            _ => return wrong("true or false"),
        },
        Kind::List => Value::Array(
            text.split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(|part| Value::String(part.to_owned()))
                .collect(),
        ),
        Kind::Tables if text.is_empty() => Value::Array(Vec::new()),
        Kind::Tables => return wrong("given in the file, as a list of tables"),
    }))
}

fn show(key: &Key, value: Option<&Value>) -> String {
    match value {
        None => "(unset)".to_owned(),
        Some(_) if key.secret => "(redacted)".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}

fn insert(table: &mut Table, name: &str, value: Value) {
    match name.split_once('.') {
        None => {
            table.insert(name.to_owned(), value);
        }
        Some((section, rest)) => {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                inner.insert(rest.to_owned(), value);
            }
        }
    }
}

fn refuse_unknown_variables(env: &[(String, String)]) -> Result<(), ConfigError> {
    let known: Vec<String> = KEYS.iter().map(Key::variable).collect();
    for (name, _) in env {
        let plain = name.strip_suffix("_FILE").unwrap_or(name);
        let is_known = known.iter().any(|known| known == plain || known == name)
            || keys::OTHER_VARIABLES.contains(&name.as_str())
            || name == OTEL_ENDPOINT;
        if !is_known {
            return Err(ConfigError(unknown(
                "environment",
                name,
                nearest(plain, known.iter().map(String::as_str)),
            )));
        }
    }
    Ok(())
}

fn unknown(place: &str, name: &str, near: Option<&str>) -> String {
    let help = match near {
        Some(near) => format!("did you mean {near}?"),
        None => "`sealway config show` lists every key".to_owned(),
    };
    format!("{place}: unknown setting {name}; {help}")
}

/// The TOML file with its text, for line numbers.
struct FileLayer {
    path: PathBuf,
    text: String,
    table: Table,
}

impl FileLayer {
    fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError(format!("cannot read {}: {error}", path.display())))?;
        let table: Table = toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(0, |span| line_at(&text, span.start));
            ConfigError(format!("{}:{line}: {}", path.display(), error.message()))
        })?;
        let layer = Self { path: path.to_path_buf(), text, table };
        layer.refuse_unknown("", &layer.table)?;
        Ok(layer)
    }

    fn refuse_unknown(&self, prefix: &str, table: &Table) -> Result<(), ConfigError> {
        for (part, value) in table {
            let name = format!("{prefix}{part}");
            let plain = name.strip_suffix("_file").unwrap_or(&name);
            if keys::key(&name).is_some() || keys::key(plain).is_some() {
                continue;
            }
            let section = format!("{name}.");
            match value {
                Value::Table(inner) if KEYS.iter().any(|key| key.name.starts_with(&section)) => {
                    self.refuse_unknown(&section, inner)?;
                }
                _ => {
                    let place = format!("{}:{}", self.path.display(), self.line(&name));
                    let near = nearest(&name, KEYS.iter().map(|key| key.name));
                    return Err(ConfigError(unknown(&place, &name, near)));
                }
            }
        }
        Ok(())
    }

    fn value(&self, key: &Key) -> Result<Option<(Value, Origin)>, ConfigError> {
        let origin = |name: &str| Origin::File(self.path.clone(), self.line(name));
        if let Some(value) = self.find(key.name) {
            self.check(key, value)?;
            return Ok(Some((value.clone(), origin(key.name))));
        }
        let by_file = format!("{}_file", key.name);
        let Some(Value::String(path)) = self.find(&by_file) else { return Ok(None) };
        let text = read_secret(Path::new(path), &self.path.display().to_string())?;
        Ok(parse(key, &text, &by_file)?.map(|value| (value, origin(&by_file))))
    }

    fn find(&self, name: &str) -> Option<&Value> {
        match name.split_once('.') {
            None => self.table.get(name),
            Some((section, rest)) => self.table.get(section)?.as_table()?.get(rest),
        }
    }

    fn check(&self, key: &Key, value: &Value) -> Result<(), ConfigError> {
        let (fits, wanted) = match key.kind {
            Kind::Text => (value.is_str(), "text"),
            Kind::Number => (value.as_integer().is_some_and(|n| n >= 0), "a whole number"),
            Kind::Flag => (value.is_bool(), "true or false"),
            Kind::List => (value.is_array(), "a list of texts"),
            Kind::Tables => (value.is_array(), "a list of tables"),
        };
        if fits {
            return Ok(());
        }
        let line = self.line(key.name);
        Err(ConfigError(format!("{}:{line}: {} must be {wanted}", self.path.display(), key.name)))
    }

    /// Line of a key: the first after its section's header that begins with its last part.
    fn line(&self, name: &str) -> usize {
        let (section, last) = name.rsplit_once('.').unwrap_or(("", name));
        let mut inside = section.is_empty();
        for (at, line) in self.text.lines().enumerate() {
            let line = line.trim();
            if let Some(header) = line.strip_prefix('[') {
                let header = header.trim_matches(['[', ']', ' ']);
                inside = header == section;
                if header == name {
                    return at + 1;
                }
            }
            if inside
                && line.strip_prefix(last).is_some_and(|rest| rest.trim_start().starts_with('='))
            {
                return at + 1;
            }
        }
        0
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|b| **b == b'\n').count() + 1
}

const OTEL_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
