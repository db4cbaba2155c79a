//! A value as the text that clients read: one form for RESP and for the numbers in JSON, so
//! that both doors agree to the last digit. Called by `reply` and by `http::json`.

use std::io::Write;

use granary_registry::ValueRef;

/// `27`, `27.0`, `True`, text as it stands, an ISO instant, `[1.0,0.5]`; nothing for null.
pub(crate) fn write_text(out: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => {}
        ValueRef::Int(x) => out.extend_from_slice(itoa::Buffer::new().format(x).as_bytes()),
        ValueRef::Float(x) => write_float(out, x),
        ValueRef::Bool(true) => out.extend_from_slice(b"True"),
        ValueRef::Bool(false) => out.extend_from_slice(b"False"),
        ValueRef::Text(text) => out.extend_from_slice(text.as_bytes()),
        ValueRef::Timestamp(time) => write_display(out, time),
        ValueRef::Vector(elements) => write_vector(out, elements),
    }
}

/// The shortest digits that read back as the same number, always with a point or an exponent.
pub(crate) fn write_float(out: &mut Vec<u8>, x: f64) {
    out.extend_from_slice(zmij::Buffer::new().format_finite(x).as_bytes());
}

/// A JSON array of the shortest digits of each element.
pub(crate) fn write_vector(out: &mut Vec<u8>, elements: &[f32]) {
    serde_json::to_writer(out, elements).expect("numbers have a JSON form and a Vec takes them");
}

/// Anything printable, without a string in between.
pub(crate) fn write_display(out: &mut Vec<u8>, shown: impl std::fmt::Display) {
    write!(out, "{shown}").expect("a Vec takes every byte");
}

#[cfg(test)]
mod tests {
    use granary_registry::{EventTime, Value};
    use proptest::prelude::*;

    use super::*;

    fn text(value: &Value) -> String {
        let mut out = Vec::new();
        write_text(&mut out, value.into());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_type_has_its_form() {
        assert_eq!(text(&Value::Int(27)), "27");
        assert_eq!(text(&Value::Float(27.0)), "27.0");
        assert_eq!(text(&Value::Float(0.1)), "0.1");
        assert_eq!(text(&Value::Bool(true)), "True");
        assert_eq!(text(&Value::Bool(false)), "False");
        assert_eq!(text(&Value::Text("Zürich".into())), "Zürich");
        assert_eq!(text(&Value::Vector(vec![1.0, 0.1].into())), "[1.0,0.1]");
        assert_eq!(text(&Value::Vector(Vec::new().into())), "[]");
        assert_eq!(
            text(&Value::Timestamp(EventTime(5))),
            EventTime(5).to_string()
        );
        assert_eq!(text(&Value::Null), "");
    }

    proptest! {
        #[test]
        fn floats_read_back_exactly_and_look_like_floats(
            x in any::<f64>().prop_filter("stored floats are finite", |x| x.is_finite())
        ) {
            let shown = text(&Value::Float(x));
            prop_assert_eq!(shown.parse::<f64>().unwrap().to_bits(), x.to_bits());
            prop_assert!(shown.contains(['.', 'e']), "{}", shown);
            prop_assert_eq!(shown, serde_json::to_string(&x).unwrap());
        }
    }
}
