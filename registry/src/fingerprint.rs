//! Hashes of definitions, equal exactly when stored bytes mean the same. What goes in is
//! spelled out here, in an encoding of its own, so that no release changes a hash by
//! accident: a changed hash makes every stored state unreadable.

use crate::{
    Aggregation, Clock, Entity, Expectation, Expression, Feature, FeatureGroup, FeatureKind,
    Fingerprint, Function, Imputation, Instant, Label, LabelTarget, Registry, Rule, Severity,
    Source, Value, ValueColumns,
};

/// Of everything that decides the bytes and the meaning of a group's states.
pub(crate) fn of_group(group: &FeatureGroup, entity: &Entity, source: &Source) -> Fingerprint {
    let mut hash = Canonical::new("group 1");
    hash.text(&entity.key)
        .text(&entity.dtype.to_string())
        .text(&source.name);
    hash.maybe_text(source.event_time.as_deref())
        .maybe_text(source.id.as_deref());
    hash.number(source.allowed_lateness.0);
    if group.features.iter().any(is_of_sessions) {
        hash.number(group.session_gap.0);
    }
    let read = group.columns_read(source);
    let columns = source
        .columns
        .iter()
        .filter(|column| read.contains(&column.name.as_str()));
    hash.list(columns, |hash, column| {
        hash.text(&column.name).text(&column.dtype.to_string());
    });
    let derived = source
        .derived
        .iter()
        .filter(|column| read.contains(&column.name.as_str()));
    hash.list(derived, |hash, column| {
        hash.text(&column.name).expression(&column.expression);
    });
    hash.list(&group.features, Canonical::feature);
    // The states of two values of one column were one before either could be written alone.
    if shares_columns(group) {
        hash.text("a state for each value");
    }
    hash.finish()
}

/// Whether two values read the same columns.
fn shares_columns(group: &FeatureGroup) -> bool {
    let features = group.features.iter();
    let mut columns: Vec<&ValueColumns> = Vec::new();
    let values = features.filter_map(|feature| match &feature.kind {
        FeatureKind::Value { columns } => Some(columns),
        _ => None,
    });
    for value in values {
        if columns.contains(&value) {
            return true;
        }
        columns.push(value);
    }
    false
}

impl Registry {
    /// Of one feature and what it is derived from: equal when its values mean the same,
    /// whatever else its group holds. None for a name that the group does not have.
    pub fn feature_fingerprint(&self, group: &str, feature: &str) -> Option<Fingerprint> {
        let group = self.group(group)?;
        let mut names = vec![feature.to_owned()];
        let mut at = 0;
        while at < names.len() {
            if let FeatureKind::Derived(expression) = &group.feature(&names[at])?.kind {
                names.extend(expression.columns().into_iter().map(str::to_owned));
            }
            at += 1;
        }
        let mut alone = group.clone();
        alone
            .features
            .retain(|held| names.iter().any(|name| **name == *held.name));
        let (entity, source) = (self.entity(&group.entity)?, self.source(&group.source)?);
        Some(of_group(&alone, entity, source))
    }

    /// Of everything in the registry but what is for people or for monitoring: descriptions,
    /// owners, tags and freshness.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hash = Canonical::new("registry 1");
        hash.text(&self.project);
        hash.text(match self.clock {
            Clock::Wall => "wall",
            Clock::Data => "data",
        });
        hash.list(&self.entities, |hash, entity| {
            hash.text(&entity.name).text(&entity.key);
            hash.text(&entity.dtype.to_string()).text(&entity.prefix);
        });
        hash.list(&self.sources, Canonical::source);
        hash.list(&self.groups, |hash, group| {
            hash.text(&group.name)
                .text(&group.entity)
                .text(&group.source);
            hash.number(group.fingerprint.0 as i64);
            hash.list(group.max_age, |hash, age| {
                hash.number(age.0);
            });
            hash.list(&group.features, |hash, feature| {
                hash.list(&feature.imputation, Canonical::imputation);
                hash.list(&feature.expectations, Canonical::expectation);
            });
        });
        hash.list(&self.labels, Canonical::label);
        hash.list(&self.services, |hash, service| {
            hash.text(&service.name)
                .maybe_text(service.label.as_deref());
            hash.list(&service.features, |hash, (group, feature)| {
                hash.text(group).text(feature);
            });
        });
        hash.finish()
    }
}

fn is_of_sessions(feature: &Feature) -> bool {
    let FeatureKind::Aggregate(aggregation) = &feature.kind else {
        return false;
    };
    matches!(
        aggregation.function,
        Function::Sessions | Function::SessionLength
    )
}

/// A hash over tokens, each of which says how long it is: no two sequences of tokens run
/// together into the same bytes.
struct Canonical(blake3::Hasher);

impl Canonical {
    fn new(kind: &str) -> Canonical {
        let mut hash = Canonical(blake3::Hasher::new());
        hash.text(kind);
        hash
    }

    fn finish(&self) -> Fingerprint {
        let hash = self.0.finalize();
        let first = hash.as_bytes().first_chunk().expect("a hash has 32 bytes");
        Fingerprint(u64::from_le_bytes(*first))
    }

    fn number(&mut self, number: i64) -> &mut Self {
        self.0.update(&number.to_le_bytes());
        self
    }

    /// By its bits, with one zero.
    fn float(&mut self, number: f64) -> &mut Self {
        self.number((number + 0.0).to_bits() as i64)
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.number(text.len() as i64);
        self.0.update(text.as_bytes());
        self
    }

    fn list<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut add: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        let items: Vec<T> = items.into_iter().collect();
        self.number(items.len() as i64);
        for item in items {
            add(self, item);
        }
        self
    }

    fn maybe_text(&mut self, text: Option<&str>) -> &mut Self {
        self.list(text, |hash, text| {
            hash.text(text);
        })
    }

    fn source(&mut self, source: &Source) {
        self.text(&source.name).text(&source.entity);
        self.list(&source.paths, |hash, path| {
            hash.text(path);
        });
        self.maybe_text(source.event_time.as_deref())
            .maybe_text(source.id.as_deref());
        self.number(source.allowed_lateness.0);
        self.list(&source.columns, |hash, column| {
            hash.text(&column.name).text(&column.dtype.to_string());
        });
        self.list(&source.derived, |hash, column| {
            hash.text(&column.name).expression(&column.expression);
        });
        // Only where it stands, so that the hashes of registries from before it stay.
        if let Some(created) = &source.created {
            self.text("created").text(created);
        }
    }

    fn feature(&mut self, feature: &Feature) {
        self.text(&feature.name).text(&feature.dtype.to_string());
        match &feature.kind {
            FeatureKind::Value { columns } => {
                let (kind, names) = match columns {
                    ValueColumns::One(names) => ("value", names),
                    ValueColumns::Spread(names) => ("spread", names),
                };
                self.text(kind).list(names, |hash, name| {
                    hash.text(name);
                });
            }
            FeatureKind::Aggregate(aggregation) => self.aggregation(aggregation),
            FeatureKind::Derived(expression) => {
                self.text("derived").expression(expression);
            }
        }
    }

    fn aggregation(&mut self, aggregation: &Aggregation) {
        self.text("aggregate").text(aggregation.function.name());
        if let Function::CountBy { categories } = &aggregation.function {
            self.list(categories, |hash, category| {
                hash.text(category);
            });
        } else {
            for (key, argument) in aggregation.function.arguments() {
                self.text(key).text(&argument);
            }
        }
        self.list(&aggregation.input, Canonical::expression);
        self.list(&aggregation.filter, Canonical::expression);
        self.list(aggregation.window, |hash, window| {
            hash.number(window.length.0).number(window.hop.0);
        });
    }

    fn expression(&mut self, expression: &Expression) {
        match expression {
            Expression::Column { name, dtype } => {
                self.text("column").text(name).text(&dtype.to_string());
            }
            Expression::Literal(value) => {
                self.text("literal").value(value);
            }
            Expression::Unary { op, operand } => {
                self.text("unary").text(op.symbol()).expression(operand);
            }
            Expression::Binary { op, left, right } => {
                self.text("binary").text(op.symbol());
                self.expression(left);
                self.expression(right);
            }
            Expression::In {
                operand,
                list,
                negated,
            } => {
                self.text(if *negated { "not in" } else { "in" })
                    .expression(operand);
                self.list(list, Canonical::value);
            }
            Expression::Case {
                branches,
                otherwise,
            } => {
                self.text("case")
                    .list(branches, |hash, (condition, result)| {
                        hash.expression(condition);
                        hash.expression(result);
                    });
                self.list(otherwise.as_deref(), Canonical::expression);
            }
            Expression::Call {
                function,
                arguments,
            } => {
                self.text("call").text(function.name());
                self.list(arguments, Canonical::expression);
            }
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.text("null"),
            Value::Int(number) => self.text("int").number(*number),
            Value::Float(number) => self.text("float").float(*number),
            Value::Bool(value) => self.text("bool").number(i64::from(*value)),
            Value::Text(text) => self.text("text").text(text),
            Value::Timestamp(instant) => self.text("timestamp").number(instant.0),
            Value::Vector(elements) => {
                self.text("vector").list(elements.iter(), |hash, element| {
                    hash.float(f64::from(*element));
                })
            }
        };
    }

    fn imputation(&mut self, imputation: &Imputation) {
        match imputation {
            Imputation::Mean => self.text("mean"),
            Imputation::Median => self.text("median"),
            Imputation::MostFrequent => self.text("most_frequent"),
            Imputation::Constant(value) => {
                self.text("constant").value(value);
                self
            }
        };
    }

    fn expectation(&mut self, expectation: &Expectation) {
        self.text(match expectation.severity {
            Severity::Error => "error",
            Severity::Warn => "warn",
        });
        match &expectation.rule {
            Rule::NotNull => self.text("not_null"),
            Rule::Unique => self.text("unique"),
            Rule::NullShare(share) => self.text("null_share").float(*share),
            Rule::In(values) => self.text("in").list(values, Canonical::value),
            Rule::Range { min, max } => {
                self.text("range");
                for bound in [min, max] {
                    self.list(bound, |hash, bound| {
                        hash.float(*bound);
                    });
                }
                self
            }
        };
    }

    fn label(&mut self, label: &Label) {
        self.text(&label.name)
            .text(&label.entity)
            .text(&label.source)
            .text(&label.column);
        match &label.target {
            LabelTarget::Column(column) => {
                self.text("column").text(column);
            }
            LabelTarget::Draw(draw) => {
                self.text("draw").text(&draw.from).number(draw.seed as i64);
                self.list(&draw.probability, |hash, (score, share)| {
                    hash.float(*score).float(*share);
                });
            }
            LabelTarget::Inactivity { filter, horizon } => {
                self.text("inactivity").number(horizon.0);
                self.list(filter, Canonical::expression);
            }
        }
        match &label.instant {
            Instant::Column(column) => self.text("column").text(column),
            Instant::Fixed(instant) => self.text("fixed").number(instant.0),
            Instant::DataClock => self.text("data clock"),
        };
        self.float(label.split.train).float(label.split.valid);
        self.number(i64::from(label.split.by_time));
    }
}
