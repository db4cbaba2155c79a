//! The command that appends to a stream of events. Called by `command`; `batch` logs what came
//! together, `execute::stream` one alone.

use super::{Arguments, Command, Refusal, Spec, at, lower};
use crate::resp::frame::integer;

/// `XADD`: an event.
#[derive(Clone, Copy, Debug)]
pub struct StreamCommand<'a> {
    /// Name of the stream.
    pub key: &'a [u8],
    /// Whether a stream that is not there is no error.
    pub no_create: bool,
    /// The request.
    pub arguments: Arguments<'a>,
    /// Where its fields and values begin.
    pub first: usize,
}

impl<'a> StreamCommand<'a> {
    /// Fields with their values.
    pub fn pairs(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let names = self.arguments.from(self.first).step_by(2);
        names.zip(self.arguments.from(self.first + 1).step_by(2))
    }
}

pub(super) const SPECS: &[Spec] = &[Spec {
    name: "xadd",
    arity: -5,
    flags: &["write", "denyoom", "fast"],
    keys: (1, 1, 1),
    group: "stream",
    since: "5.0.0",
    summary: "Appends an event to the stream of its source.",
    parse: add,
}];

fn add<'a>(spec: &'static Spec, arguments: Arguments<'a>) -> Result<Command<'a>, Refusal> {
    let mut no_create = false;
    let mut next = 2;
    loop {
        match lower(at(arguments, next)).as_str() {
            "nomkstream" => no_create = true,
            "maxlen" | "minid" => return Err(Refusal::Trimming),
            _ => break,
        }
        next += 1;
    }
    match at(arguments, next) {
        b"*" => {}
        id if is_id(id) => return Err(Refusal::ExplicitId),
        _ => return Err(Refusal::StreamId),
    }
    let first = next + 1;
    let fields = arguments.len().saturating_sub(first);
    if fields == 0 || fields % 2 == 1 {
        return Err(Refusal::Arity(spec.name.to_owned()));
    }
    Ok(Command::Stream(StreamCommand {
        key: at(arguments, 1),
        no_create,
        arguments,
        first,
    }))
}

/// `5`, `5-1`, `5-*`.
fn is_id(id: &[u8]) -> bool {
    let mut parts = id.splitn(2, |byte| *byte == b'-');
    let millis = parts.next().and_then(integer);
    let number = parts.next();
    millis.is_some_and(|millis| millis >= 0)
        && number.is_none_or(|number| number == b"*" || integer(number).is_some())
}

#[cfg(test)]
mod tests {
    use crate::resp::command::tests::refused;

    #[test]
    fn what_a_log_cannot_do_is_refused_in_words() {
        let no = |line: &str| refused(line).unwrap_or_default();
        assert_eq!(no("XADD events * user_id 7"), "");
        assert_eq!(no("xadd events nomkstream * user_id 7"), "");
        for line in [
            "XADD events MAXLEN ~ 1000 * user_id 7",
            "XADD events NOMKSTREAM MINID 5 * user_id 7",
        ] {
            assert!(no(line).contains("keeps every event"), "{}", no(line));
        }
        for id in ["5", "5-1", "5-*", "0-0"] {
            let said = no(&format!("XADD events {id} user_id 7"));
            assert!(said.contains("use *"), "{said}");
        }
        let said = no("XADD events user_id 7 kind");
        assert!(said.starts_with("ERR Invalid stream ID"), "{said}");
        for line in [
            "XADD events * user_id",
            "XADD events * a 1 b",
            "XADD events NOMKSTREAM * a",
        ] {
            let said = no(line);
            assert_eq!(
                said, "ERR wrong number of arguments for 'xadd' command",
                "{line}"
            );
        }
    }
}
