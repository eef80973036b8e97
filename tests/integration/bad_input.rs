//! What clients should not send: which connections it ends, which error it brings, and that
//! nobody else notices.

use crate::support::{Client, Server, error, frame, frame_header, text_frame};

const POSITION: &str = r#"{"userId":5,"lat":1,"lng":2}"#;

/// A server, a witness who follows user 5, and user 5.
struct Scene {
    server: Server,
    witness: Client,
    runner: Client,
}

impl Scene {
    fn new(flags: &[&str]) -> Scene {
        let server = Server::start(flags);
        let (witness, _) = server.spectator("[5]");
        let runner = server.join("5", "[]");
        Scene {
            server,
            witness,
            runner,
        }
    }

    /// Asserts that the witness has got nothing so far, and gets what is sent now.
    fn assert_unharmed(&mut self, after: &str) {
        assert!(self.runner.barrier().is_empty(), "{after}");
        let texts = self.witness.barrier();
        assert!(texts.is_empty(), "{texts:?} after {after}");
        self.runner.send(POSITION);
        assert_eq!(self.witness.receive(), POSITION, "after {after}");
    }

    /// Asserts that these bytes on a new connection end it with this code, and that nothing that
    /// follows them is carried out.
    fn assert_closes(&mut self, name: &str, bytes: &[u8], codes: &[u16]) {
        let mut client = self.server.connect();
        let hidden = text_frame(r#"{"userId":5,"lat":6,"lng":6}"#);
        client.send_raw(&[bytes, &hidden].concat());
        let (code, _) = client.receive_close();
        assert!(codes.contains(&code), "{name} ends with {code}");
        self.assert_unharmed(name);
    }

    /// Asserts that these texts on one connection each bring one error with this code, and leave
    /// the connection as it was. Says the errors' sentences.
    fn assert_refuses(&mut self, code: &str, texts: &[&str]) -> Vec<String> {
        let mut client = self.server.connect();
        let mut sentences = Vec::new();
        for text in texts {
            client.send(text);
            let answers = client.barrier();
            assert_eq!(answers.len(), 1, "{text} brings {answers:?}");
            let (answered, sentence) = error(&answers[0]);
            assert_eq!(answered, code, "{text}: {sentence}");
            assert!(sentence.len() > 10, "{text}: {sentence}");
            sentences.push(sentence);
            assert_usable(&mut client, text);
        }
        self.assert_unharmed(code);
        sentences
    }
}

/// Asserts that the connection takes a good message. It must not have said who it is.
fn assert_usable(client: &mut Client, after: &str) {
    client.send(r#"{"unfollow":[]}"#);
    client.send(r#"{"userId":"unseen","lat":1,"lng":2}"#);
    assert!(client.barrier().is_empty(), "after {after}");
}

#[test]
fn text_that_is_not_utf_8_ends_the_connection_with_1007() {
    let mut scene = Scene::new(&[]);
    let cases: [(&str, &[u8]); 6] = [
        ("a stray byte", b"{\"userId\":\"\xff\",\"lat\":1,\"lng\":2}"),
        (
            "an overlong form",
            b"{\"userId\":\"\xc0\x80\",\"lat\":1,\"lng\":2}",
        ),
        (
            "a surrogate",
            b"{\"userId\":\"\xed\xa0\x80\",\"lat\":1,\"lng\":2}",
        ),
        (
            "beyond Unicode",
            b"{\"userId\":\"\xf4\x90\x80\x80\",\"lat\":1,\"lng\":2}",
        ),
        (
            "a character cut short",
            b"{\"userId\":5,\"lat\":1,\"lng\":2}\xc3",
        ),
        ("nothing else", b"\xff"),
    ];
    for (name, payload) in cases {
        scene.assert_closes(name, &frame(0x81, payload), &[1007]);
        let (head, tail) = payload.split_at(payload.len() / 2);
        let fragments = [frame(0x01, head), frame(0x80, tail)].concat();
        scene.assert_closes(name, &fragments, &[1007]);
    }
    let early = [frame(0x01, b"{\"userId\":\"\xff"), frame(0x00, b"x")].concat();
    scene.assert_closes("a stray byte in an unfinished message", &early, &[1007]);
    let reason = [&1000u16.to_be_bytes()[..], b"\xff"].concat();
    scene.assert_closes("the reason of a close", &frame(0x88, &reason), &[1007]);
}

#[test]
fn frames_that_the_rfc_forbids_end_the_connection_with_1002() {
    let mut scene = Scene::new(&[]);
    let unmasked = [&[0x81, POSITION.len() as u8], POSITION.as_bytes()].concat();
    scene.assert_closes("an unmasked frame", &unmasked, &[1002]);
    scene.assert_closes("an unmasked ping", &[0x89, 0x00], &[1002]);
    for bits in [0x40, 0x20, 0x10, 0x70] {
        let name = format!("reserved bits {bits:#x}");
        scene.assert_closes(&name, &frame(0x81 | bits, POSITION.as_bytes()), &[1002]);
        scene.assert_closes(&name, &frame(0x89 | bits, b""), &[1002]);
    }
    for opcode in (3..=7).chain(11..=15) {
        let name = format!("opcode {opcode}");
        scene.assert_closes(&name, &frame(0x80 | opcode, b""), &[1002]);
        scene.assert_closes(&name, &frame(opcode, POSITION.as_bytes()), &[1002]);
    }
    let start = frame(0x01, b"{\"userId\":5,");
    for (name, bytes) in [
        (
            "a continuation of nothing",
            frame(0x80, POSITION.as_bytes()),
        ),
        ("an unfinished continuation of nothing", frame(0x00, b"{")),
        (
            "a message in a message",
            [start.clone(), text_frame(POSITION)].concat(),
        ),
        (
            "a fragment that begins again",
            [start.clone(), start.clone()].concat(),
        ),
        ("binary in a message", [start, frame(0x82, b"x")].concat()),
        ("a ping in fragments", frame(0x09, b"x")),
        ("a pong in fragments", frame(0x0a, b"x")),
        (
            "a close frame in fragments",
            frame(0x08, &1000u16.to_be_bytes()),
        ),
        (
            "a length of 5 in 16 bits",
            b"\x81\xfe\x00\x05\0\0\0\0hello".to_vec(),
        ),
        (
            "a length of 5 in 64 bits",
            b"\x81\xff\0\0\0\0\0\0\0\x05\0\0\0\0hello".to_vec(),
        ),
        (
            "a length of more than 63 bits",
            b"\x81\xff\x80\0\0\0\0\0\0\x01\0\0\0\0".to_vec(),
        ),
        ("a ping over 125 bytes", frame(0x89, &[b'x'; 126])),
        ("a pong over 125 bytes", frame(0x8a, &[b'x'; 200])),
        (
            "a close frame over 125 bytes",
            frame(0x88, &[&1000u16.to_be_bytes()[..], &[b'x'; 124]].concat()),
        ),
    ] {
        scene.assert_closes(name, &bytes, &[1002]);
    }
}

#[test]
fn close_frames_that_cannot_be_are_answered_with_1002() {
    let mut scene = Scene::new(&[]);
    scene.assert_closes("one byte of a code", &frame(0x88, &[3]), &[1002]);
    for code in [0u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        let name = format!("close code {code}");
        scene.assert_closes(&name, &frame(0x88, &code.to_be_bytes()), &[1002]);
    }
}

#[test]
fn binary_messages_end_the_connection_with_1003() {
    let mut scene = Scene::new(&[]);
    scene.assert_closes("binary", &frame(0x82, POSITION.as_bytes()), &[1003]);
    scene.assert_closes("empty binary", &frame(0x82, b""), &[1003]);
    let fragments = [frame(0x02, b"{"), frame(0x80, b"}")].concat();
    scene.assert_closes("binary in fragments", &fragments, &[1003]);
}

#[test]
fn a_message_over_the_limit_ends_the_connection_with_1009_and_nothing_of_it_is_carried_out() {
    let mut scene = Scene::new(&["--max-message-bytes", "4096"]);
    let hidden = r#"{"userId":5,"lat":6,"lng":6}"#;
    let padded = |bytes: usize| {
        let head = r#"{"userId":5,"lat":6,"lng":6,"x":""#;
        format!("{head}{}\"}}", "x".repeat(bytes - head.len() - 2))
    };
    scene.assert_closes("one byte too many", &text_frame(&padded(4097)), &[1009]);
    scene.assert_closes("a large message", &text_frame(&padded(300_000)), &[1009]);
    // A reader that lost count would take the payload for frames: the mask leaves them as they are.
    let frames = text_frame(hidden).repeat(200);
    let mut unmasked = frame_header(0x81, frames.len() as u64);
    let mask_at = unmasked.len() - 4;
    unmasked[mask_at..].fill(0);
    unmasked.extend(&frames);
    scene.assert_closes("frames in a message", &unmasked, &[1009]);
    for claimed in [4097, 65_536, 1 << 40, i64::MAX as u64] {
        let header = frame_header(0x81, claimed);
        scene.assert_closes("a header before its payload", &header, &[1009]);
    }
    let whole = padded(4100);
    let (head, tail) = whole.as_bytes().split_at(2048);
    let fragments = [frame(0x01, head), frame(0x80, tail)].concat();
    scene.assert_closes("two fragments", &fragments, &[1009]);
    let small: Vec<u8> = std::iter::once(frame(0x01, hidden.as_bytes()))
        .chain((0..200).map(|_| frame(0x00, &[b' '; 50])))
        .flatten()
        .collect();
    scene.assert_closes("fragments without end", &small, &[1009]);
    let large = [frame(0x01, b"{"), frame(0x80, &[b'x'; 5000])].concat();
    scene.assert_closes("a large fragment", &large, &[1009]);
}

#[test]
fn a_message_of_the_largest_size_is_taken() {
    for (flags, limit) in [
        (&[][..], 65_536),
        (&["--max-message-bytes", "4096"], 4096),
        (&["--max-message-bytes", "1000000"], 1_000_000),
    ] {
        let mut scene = Scene::new(flags);
        let head = r#"{"userId":5,"lat":1,"lng":2,"x":""#;
        let largest = format!("{head}{}\"}}", "x".repeat(limit - head.len() - 2));
        scene.runner.send(&largest);
        assert_eq!(scene.witness.receive(), POSITION, "{limit}");
        let mut gateway = scene.server.connect();
        let (first, rest) = largest.as_bytes().split_at(limit / 3);
        gateway.send_raw(&[frame(0x01, first), frame(0x80, rest)].concat());
        assert_eq!(scene.witness.receive(), POSITION, "{limit}");
        scene.assert_closes(
            "one byte more",
            &text_frame(&format!("{largest} ")),
            &[1009],
        );
    }
}

#[test]
fn a_message_in_fragments_is_put_together_with_pings_in_between() {
    let mut scene = Scene::new(&[]);
    let position = r#"{"userId":"aé€😀","lat":1,"lng":2}"#;
    let (mut follower, _) = scene.server.spectator(r#"["aé€😀"]"#);
    let mut gateway = scene.server.connect();
    let bytes = position.as_bytes();
    // Cuts at each byte, also inside of characters.
    for cut in 0..=bytes.len() {
        let frames = [
            frame(0x01, &bytes[..cut]),
            frame(0x89, b"in between"),
            frame(0x00, b""),
            frame(0x8a, b"a pong that nobody asked for"),
            frame(0x80, &bytes[cut..]),
        ]
        .concat();
        gateway.send_raw(&frames);
        assert_eq!(follower.receive(), position, "{cut}");
    }
    let mut single: Vec<u8> = Vec::new();
    for (index, byte) in bytes.iter().enumerate() {
        let first_byte = match index {
            0 => 0x01,
            _ if index == bytes.len() - 1 => 0x80,
            _ => 0x00,
        };
        single.extend(frame(first_byte, &[*byte]));
    }
    gateway.send_raw(&single);
    assert_eq!(follower.receive(), position);
    scene.assert_unharmed("fragments");
}

#[test]
fn a_ping_inside_a_message_is_answered_before_the_message_ends() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    client.send_raw(&frame(0x01, br#"{"initialRequest":true,"userId":5,"#));
    assert!(client.barrier().is_empty(), "two pings and two pongs");
    client.send_raw(&frame(0x80, br#""following":[5]}"#));
    client.send(POSITION);
    assert_eq!(client.receive(), POSITION);
}

#[test]
fn messages_in_fragments_on_many_connections_do_not_mix() {
    let server = Server::start(&[]);
    let (mut follower, _) = server.spectator("[0,1,2,3,4,5,6,7]");
    let mut clients: Vec<Client> = (0..8).map(|_| server.connect()).collect();
    let texts: Vec<String> = (0..8)
        .map(|id| format!(r#"{{"userId":{id},"lat":1{id},"lng":0}}"#))
        .collect();
    let bytes = texts[0].len();
    for from in (0..bytes).step_by(5) {
        let to = (from + 5).min(bytes);
        let fin = if to == bytes { 0x80 } else { 0x00 };
        let opcode = if from == 0 { 0x01 } else { 0x00 };
        // Each frame comes in two halves, with the others' in between.
        for half in 0..2 {
            for (client, text) in clients.iter_mut().zip(&texts) {
                let frame = frame(fin | opcode, &text.as_bytes()[from..to]);
                client.send_raw([&frame[..3], &frame[3..]][half]);
            }
        }
        if to < bytes {
            for client in &mut clients {
                assert!(client.barrier().is_empty());
            }
        }
    }
    for client in &mut clients {
        assert!(client.barrier().is_empty());
    }
    let mut arrived = follower.barrier();
    arrived.sort();
    assert_eq!(arrived, texts);
}

#[test]
fn what_is_not_json_brings_bad_json() {
    let mut scene = Scene::new(&[]);
    scene.assert_refuses(
        "bad_json",
        &[
            "nonsense",
            "pings",
            "Ping",
            "{",
            "}",
            "{}}",
            "{}x",
            "[",
            r#"{"userId":5,"lat":1,"lng":2"#,
            r#"{"userId":5,"lat":1,"lng":2}{"userId":5,"lat":1,"lng":2}"#,
            r#"{"userId":5,"lat":1,"lng":2} x"#,
            r#"{"userId":5,"lat":1,"lng":2,}"#,
            r#"{"userId":5,"lat":NaN,"lng":2}"#,
            r#"{"userId":5,"lat":Infinity,"lng":2}"#,
            r#"{"userId":5,"lat":+1,"lng":2}"#,
            r#"{"userId":5,"lat":.5,"lng":2}"#,
            r#"{"userId":5,"lat":1.,"lng":2}"#,
            r#"{"userId":5,"lat":05,"lng":2}"#,
            r#"{"userId":007,"lat":1,"lng":2}"#,
            r#"{"userId":5,"lat":0x1,"lng":2}"#,
            "{\"userId\":\"a\nb\",\"lat\":1,\"lng\":2}",
            "\u{feff}{\"userId\":5,\"lat\":1,\"lng\":2}",
            "{'userId':5,'lat':1,'lng':2}",
            "{userId:5,lat:1,lng:2}",
        ],
    );
}

#[test]
fn one_of_our_keys_twice_brings_bad_json() {
    let mut scene = Scene::new(&[]);
    scene.assert_refuses(
        "bad_json",
        &[
            r#"{"userId":5,"userId":5,"lat":1,"lng":2}"#,
            r#"{"userId":5,"\u0075serId":5,"lat":1,"lng":2}"#,
            r#"{"userId":5,"lat":1,"lat":1,"lng":2}"#,
            r#"{"userId":5,"lat":1,"lng":2,"lng":2}"#,
            r#"{"userId":5,"lat":1,"lng":2,"speed":null,"speed":1}"#,
            r#"{"userId":5,"lat":1,"lng":2,"timestamp":1,"timestamp":1}"#,
            r#"{"initialRequest":true,"initialRequest":true,"following":[5]}"#,
            r#"{"initialRequest":true,"following":[5],"following":[5]}"#,
            r#"{"follow":[5],"follow":[5]}"#,
            r#"{"unfollow":[5],"unfollow":[5]}"#,
        ],
    );
    assert_eq!(scene.server.metric("spectate_follows"), 1.0);
    let mut client = scene.server.connect();
    client.send(r#"{"userId":5,"x":1,"x":2,"lat":1,"lng":2}"#);
    assert_eq!(scene.witness.receive(), POSITION, "x is no key of ours");
}

#[test]
fn json_that_is_none_of_our_messages_brings_bad_message() {
    let mut scene = Scene::new(&[]);
    scene.assert_refuses(
        "bad_message",
        &[
            "{}",
            "[]",
            "[5,1,2]",
            r#"[{"userId":5,"lat":1,"lng":2}]"#,
            "5",
            "\"text\"",
            "null",
            "true",
            r#"{"userId":5}"#,
            r#"{"hello":"world"}"#,
            r#"{"Lat":1,"Lng":2,"userId":5}"#,
            r#"{"following":[5],"userId":5}"#,
            r#"{"initialRequest":false,"following":[5]}"#,
            r#"{"initialRequest":null,"following":[5]}"#,
            r#"{"initialRequest":1,"following":[5]}"#,
            r#"{"initialRequest":"true","following":[5]}"#,
            r#"{"initialRequest":true,"following":5}"#,
            r#"{"initialRequest":true,"following":"5"}"#,
            r#"{"initialRequest":true,"following":{"5":5}}"#,
            r#"{"initialRequest":true,"following":true}"#,
            r#"{"follow":5}"#,
            r#"{"follow":"5"}"#,
            r#"{"unfollow":{}}"#,
            r#"{"type":"ping"}"#,
        ],
    );
    assert_eq!(scene.server.metric("spectate_follows"), 1.0);
}

#[test]
fn what_is_no_id_brings_bad_id() {
    let mut scene = Scene::new(&[]);
    let long = format!("\"{}\"", "x".repeat(65));
    let wide = format!("\"{}\"", "é".repeat(33));
    let digits = "1".repeat(65);
    let negative = format!("-{}", "1".repeat(64));
    let ids = [
        "5.0",
        "5.5",
        "1e2",
        "5E0",
        "null",
        "\"\"",
        "true",
        "false",
        "[5]",
        "[]",
        "{}",
        r#"{"id":5}"#,
        r#""a\u0000""#,
        r#""\n""#,
        r#""\u001f""#,
        r#""\u007f""#,
        r#""\u009f""#,
        "\"\u{85}\"",
        r#""\ud800""#,
        &long,
        &wide,
        &digits,
        &negative,
    ];
    for id in ids {
        let follow = format!(r#"{{"follow":[{id}]}}"#);
        let following = format!(r#"{{"initialRequest":true,"following":[{id}]}}"#);
        let position = format!(r#"{{"userId":{id},"lat":1,"lng":2}}"#);
        let mut texts = vec![follow.as_str(), &following, &position];
        let unfollow = format!(r#"{{"unfollow":[{id}]}}"#);
        texts.push(&unfollow);
        let hello = format!(r#"{{"initialRequest":true,"userId":{id}}}"#);
        if id != "null" {
            texts.push(&hello);
        }
        scene.assert_refuses("bad_id", &texts);
    }
    assert_eq!(scene.server.metric("spectate_follows"), 1.0);
}

#[test]
fn what_is_no_position_brings_bad_position_and_the_name_of_the_field() {
    let mut scene = Scene::new(&[]);
    for field in ["lat", "lng"] {
        let other = if field == "lat" { "lng" } else { "lat" };
        let mut texts: Vec<String> = [
            "null", "\"1\"", "\"\"", "true", "[1]", "{}", "1e999", "-1e999",
        ]
        .iter()
        .map(|value| format!(r#"{{"userId":5,"{other}":1,"{field}":{value}}}"#))
        .collect();
        texts.push(format!(r#"{{"userId":5,"{other}":1}}"#));
        texts.push(format!(r#"{{"userId":5,"{other}":1,"follow":[5]}}"#));
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        for sentence in scene.assert_refuses("bad_position", &texts) {
            assert!(sentence.starts_with(field), "{sentence}");
        }
    }
    assert_eq!(scene.server.metric("spectate_follows"), 1.0);
    assert_eq!(
        scene
            .server
            .metric(r#"spectate_positions_rejected_total{reason="bad_position"}"#),
        20.0
    );
}

#[test]
fn a_number_too_large_is_told_from_one_that_is_none() {
    let mut scene = Scene::new(&[]);
    let sentences = scene.assert_refuses(
        "bad_position",
        &[
            r#"{"userId":5,"lat":1e999,"lng":2}"#,
            r#"{"userId":5,"lat":"1","lng":2}"#,
            r#"{"userId":5,"lat":null,"lng":2}"#,
        ],
    );
    assert_eq!(sentences[0], "lat must be a finite number");
    assert_ne!(sentences[1], sentences[0]);
    assert_ne!(sentences[2], sentences[1]);
}

#[test]
fn the_valid_ids_of_a_list_are_taken_and_one_error_says_how_many_were_not_and_the_first() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    for (text, field_follows) in [
        (
            r#"{"initialRequest":true,"following":[1,"",2,null,"x",7.25]}"#,
            3.0,
        ),
        (r#"{"follow":[{},"",3,null,4]}"#, 5.0),
        (r#"{"unfollow":["x",[],1,{},4.5,2]}"#, 2.0),
    ] {
        client.send(text);
        let answers = client.barrier();
        assert_eq!(answers.len(), 1, "{text} brings {answers:?}");
        let (code, sentence) = error(&answers[0]);
        assert_eq!(code, "bad_id");
        assert!(sentence.contains('3'), "how many: {sentence}");
        assert_eq!(server.metric("spectate_follows"), field_follows, "{text}");
    }
    client.send(r#"{"follow":[8,"a\u0000b",9.75,{"x":1}]}"#);
    let (_, sentence) = client.receive_error();
    assert!(sentence.contains(r"a\u0000b"), "the first: {sentence}");
    assert!(!sentence.contains("9.75"), "no other: {sentence}");
}

#[test]
fn each_field_of_a_hello_is_carried_out_by_itself() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    client.send(r#"{"initialRequest":true,"userId":5.5,"following":[1,2]}"#);
    assert_eq!(client.receive_error().0, "bad_id");
    assert!(client.barrier().is_empty());
    assert_eq!(server.metric("spectate_follows"), 2.0);
    client.send(r#"{"initialRequest":true,"userId":1,"following":"2"}"#);
    assert_eq!(client.receive_error().0, "bad_message");
    client.send(r#"{"lat":1,"lng":2}"#);
    assert_eq!(client.receive(), r#"{"userId":1,"lat":1,"lng":2}"#);
    client.send(r#"{"initialRequest":true,"userId":"","following":5,"lat":"x"}"#);
    let mut codes = [client.receive_error().0, client.receive_error().0];
    codes.sort();
    assert_eq!(codes, ["bad_id", "bad_message"]);
    client.send(r#"{"follow":5,"unfollow":[2,null]}"#);
    let mut codes = [client.receive_error().0, client.receive_error().0];
    codes.sort();
    assert_eq!(codes, ["bad_id", "bad_message"]);
    assert!(client.barrier().is_empty());
    assert_eq!(server.metric("spectate_follows"), 1.0);
}

#[test]
fn errors_quote_what_was_sent_as_valid_json_of_bounded_length() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let quotes = "\\\"".repeat(20_000);
    let wide = "é".repeat(10_000);
    for id in [
        quotes.as_str(),
        &wide,
        "\\ud83d\\ude00\\u0000",
        "</script>\\u2028\\u0000",
    ] {
        client.send(&format!(r#"{{"follow":["{id}"]}}"#));
        let text = client.receive();
        assert_eq!(error(&text).0, "bad_id");
        assert!(text.len() < 1000, "{} bytes", text.len());
    }
}

#[test]
fn a_hundred_messages_in_a_row_with_errors_end_the_connection_with_1008() {
    let mut scene = Scene::new(&[]);
    let mut client = scene.server.connect();
    let bad = text_frame("nonsense").repeat(100);
    let hidden = text_frame(r#"{"userId":5,"lat":6,"lng":6}"#);
    client.send_raw(&[bad, hidden].concat());
    for _ in 0..100 {
        assert_eq!(client.receive_error().0, "bad_json");
    }
    let (code, reason) = client.receive_close();
    assert_eq!(code, 1008);
    assert!(!reason.is_empty());
    scene.assert_unharmed("100 bad messages");
}

#[test]
fn heartbeats_neither_count_among_bad_messages_nor_end_their_row() {
    let mut scene = Scene::new(&[]);
    let mut client = scene.server.connect();
    for text in ["ping", "", " ping\n", "\n"].iter().cycle().take(200) {
        client.send(text);
    }
    assert!(client.barrier().is_empty());
    for _ in 0..99 {
        client.send("nonsense");
        client.send("ping");
        assert_eq!(client.receive_error().0, "bad_json");
    }
    client.send("nonsense");
    client.receive_error();
    assert_eq!(client.receive_close().0, 1008);
    scene.assert_unharmed("heartbeats");
}

#[test]
fn pings_are_answered_in_order_with_the_number_as_it_was_written() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let numbers = ["7", "1.50", "-0", "2E0", "1791234567890"];
    let pings = numbers.map(|number| text_frame(&format!(r#"{{"ping":{number}}}"#)));
    client.send_raw(&pings.concat());
    let pongs = numbers.map(|number| format!(r#"{{"pong":{number}}}"#));
    assert_eq!(client.barrier(), pongs);
    // Behind the errors and the positions of what was sent before.
    client.send(r#"{"initialRequest":true,"userId":5,"following":[5]}"#);
    client.barrier();
    let texts = [
        POSITION,
        "nonsense",
        r#"{"ping":8}"#,
        POSITION,
        r#"{"ping":9}"#,
    ];
    client.send_raw(
        &texts
            .iter()
            .flat_map(|text| text_frame(text))
            .collect::<Vec<u8>>(),
    );
    assert_eq!(client.receive(), POSITION);
    assert_eq!(client.receive_error().0, "bad_json");
    assert_eq!(client.receive(), r#"{"pong":8}"#);
    assert_eq!(client.receive(), POSITION);
    assert_eq!(client.receive(), r#"{"pong":9}"#);
    for no_number in ["\"7\"", "null", "true", "[7]", "1e999"] {
        client.send(&format!(r#"{{"ping":{no_number}}}"#));
        assert_eq!(client.receive_error().0, "bad_message", "{no_number}");
    }
}

#[test]
fn a_good_message_among_bad_ones_keeps_the_connection() {
    let mut scene = Scene::new(&[]);
    let mut client = scene.server.connect();
    for _ in 0..5 {
        // A message with two errors counts once.
        for text in [
            r#"{"follow":5,"unfollow":[null]}"#,
            "nonsense",
            r#"{"userId":5,"lat":null,"lng":2}"#,
        ]
        .iter()
        .cycle()
        .take(99)
        {
            client.send(text);
        }
        assert_eq!(client.barrier().len(), 99 + 33);
        client.send(r#"{"unfollow":[1]}"#);
    }
    assert!(client.barrier().is_empty());
    for _ in 0..100 {
        client.send("nonsense");
    }
    for _ in 0..100 {
        client.receive_error();
    }
    assert_eq!(client.receive_close().0, 1008);
    scene.assert_unharmed("good ones among bad ones");
}

#[test]
fn a_hundred_levels_of_nesting_are_taken() {
    let mut scene = Scene::new(&[]);
    for (open, close) in [("[", "]"), (r#"{"x":"#, "}")] {
        let inner = if open == "[" { "" } else { "1" };
        let nested = format!("{}{inner}{}", open.repeat(99), close.repeat(99));
        let text = format!(r#"{{"userId":5,"lat":1,"lng":2,"x":{nested}}}"#);
        scene.runner.send(&text);
        assert_eq!(scene.witness.receive(), POSITION);
    }
    assert!(scene.runner.barrier().is_empty());
}

#[test]
fn a_hundred_thousand_levels_of_nesting_do_no_harm() {
    let mut scene = Scene::new(&["--max-message-bytes", "1000000"]);
    let depth = 100_000;
    for (open, close) in [("[", "]"), (r#"{"x":"#, "}")] {
        let inner = if open == "[" { "" } else { "1" };
        let nested = format!("{}{inner}{}", open.repeat(depth), close.repeat(depth));
        let mut client = scene.server.connect();
        client.send(&format!(r#"{{"userId":5,"lat":1,"lng":2,"x":{nested}}}"#));
        match client.barrier().as_slice() {
            [] => assert_eq!(scene.witness.receive(), POSITION),
            [refused] => assert_eq!(error(refused).0, "bad_json"),
            answers => panic!("{answers:?}"),
        }
        for text in [
            nested.clone(),
            open.repeat(depth),
            format!(r#"{{"userId":{nested},"lat":1,"lng":2}}"#),
            format!(r#"{{"userId":5,"lat":{nested},"lng":2}}"#),
            format!(r#"{{"initialRequest":true,"userId":{nested}}}"#),
            format!(r#"{{"initialRequest":true,"following":[{nested}]}}"#),
            format!(r#"{{"initialRequest":true,"following":{nested}}}"#),
            format!(r#"{{"follow":[{nested}]}}"#),
            format!(r#"{{"unfollow":[{nested}]}}"#),
        ] {
            client.send(&text);
            let answers = client.barrier();
            assert_eq!(answers.len(), 1, "{}", &text[..40]);
            error(&answers[0]);
        }
        assert_usable(&mut client, "nesting");
    }
    scene.assert_unharmed("nesting");
}

#[test]
fn bytes_that_are_no_frames_at_all_do_no_harm() {
    let mut scene = Scene::new(&[]);
    // Every first byte, with a fixed stream of noise behind it.
    let mut noise: u32 = 1;
    for first_byte in 0..=255u8 {
        let mut client = scene.server.connect();
        let mut bytes = vec![first_byte];
        for _ in 0..200 {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            bytes.push((noise >> 24) as u8);
        }
        client.send_raw(&bytes);
        client.finish();
        // A close frame or the plain end, whichever it deserved.
        while client.read().is_ok() {}
    }
    scene.assert_unharmed("noise");
    scene.server.wait_for_metric("spectate_connections", 2.0);
}
