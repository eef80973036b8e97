//! Requests that apps really send, from the tests and manuals of those who know them:
//! traccar/traccar (`OsmAndProtocolDecoderTest`, `OwnTracksProtocolDecoderTest`),
//! traccar/traccar-client and its Android predecessor, owntracks/recorder and owntracks/booklet,
//! mendhak/gpslogger (`CustomUrlManagerTest`), aaronpk/Overland-iOS, and the page of Home
//! Assistant on GPSLogger. Those that follow a template of theirs are marked.

use super::*;

/// Queries, which may come as a form too.
pub(super) const PAIRS: &[(&str, &str)] = &[
    // Traccar's tests of this protocol.
    (
        "id=123456&timestamp=1377177267&cell=257,02,16,2224&cell=257,02,16,2223,-90&wifi=00-14-22-01-23-45,-80&wifi=00-1C-B3-09-85-15,-70",
        "osmand 123456 moves nobody",
    ),
    (
        "timestamp=1377177267&lat=60.0&lon=30.0",
        "osmand - lat=60.0 lng=30.0 timestamp=1377177267000",
    ),
    (
        "id=902064&lat=42.06288&lon=-88.23412&timestamp=2016-01-27T18%3A55%3A47Z&hdop=6.0&altitude=224.0&speed=0.0",
        "osmand 902064 lat=42.06288 lng=-88.23412 accuracy=30 altitude=224.0 speed=0 timestamp=1453920947000",
    ),
    (
        "id=902064&lat=42.06288&lon=-88.23412&timestamp=1442068686579&hdop=6.0&altitude=224.0&speed=0.0",
        "osmand 902064 lat=42.06288 lng=-88.23412 accuracy=30 altitude=224.0 speed=0 timestamp=1442068686579",
    ),
    (
        "lat=49.60688&lon=6.15788&timestamp=2014-06-04+09%3A10%3A11&altitude=384.7&speed=0.0&id=353861053849681",
        "osmand 353861053849681 lat=49.60688 lng=6.15788 altitude=384.7 speed=0 timestamp=1401873011000",
    ),
    (
        "id=123456&timestamp=1377177267&lat=60.0&lon=30.0&speed=0.0&bearing=0.0&altitude=0&hdop=0.0",
        "osmand 123456 lat=60.0 lng=30.0 accuracy=0 altitude=0 heading=0.0 speed=0 timestamp=1377177267000",
    ),
    (
        "id=123456&timestamp=1377177267&lat=60.0&lon=30.0",
        "osmand 123456 lat=60.0 lng=30.0 timestamp=1377177267000",
    ),
    (
        "lat=60.0&lon=30.0&speed=0.0&heading=0.0&vacc=0&hacc=0&altitude=0&deviceid=123456",
        "osmand 123456 lat=60.0 lng=30.0 accuracy=0 altitude=0 altitudeAccuracy=0 heading=0.0 speed=0",
    ),
    (
        "id=861001000719969&lat=41.666667&lon=-0.883333&altitude=350.059479&speed=0.000000&batt=87",
        "osmand 861001000719969 lat=41.666667 lng=-0.883333 altitude=350.059479 speed=0 battery=0.87",
    ),
    (
        "id=123456&timestamp=1377177267&location=60.0,30.0",
        "osmand 123456 lat=60.0 lng=30.0 timestamp=1377177267000",
    ),
    (
        "id=123456789012345&timestamp=1504763810&lat=40.7232948571&lon=-74.0061408571&bearing=7.19889788244&speed=40&ignition=true&rpm=933&fuel=24",
        "osmand 123456789012345 lat=40.7232948571 lng=-74.0061408571 heading=7.19889788244 speed=20.578 timestamp=1504763810000",
    ),
    // Traccar Client for Android up to 8, from its formatter's tests.
    (
        "id=123456789012345&timestamp=619315200&lat=0.0&lon=0.0&speed=0.0&bearing=0.0&altitude=0.0&accuracy=0.0&batt=0.0",
        "osmand 123456789012345 lat=0.0 lng=0.0 accuracy=0.0 altitude=0.0 heading=0.0 speed=0 timestamp=619315200000 battery=0",
    ),
    (
        "id=123456789012345&timestamp=619315200&lat=0.0&lon=0.0&speed=0.0&bearing=0.0&altitude=0.0&accuracy=0.0&batt=0.0&alarm=alert%20message",
        "osmand 123456789012345 lat=0.0 lng=0.0 accuracy=0.0 altitude=0.0 heading=0.0 speed=0 timestamp=619315200000 battery=0",
    ),
    // OsmAnd's template, filled in.
    (
        "lat=52.5163&lon=13.3777&timestamp=1520263451000&hdop=4.5&altitude=34.0&speed=1.5&bearing=271.5&id=666",
        "osmand 666 lat=52.5163 lng=13.3777 accuracy=22.5 altitude=34.0 heading=271.5 speed=0.772 timestamp=1520263451000",
    ),
    // GPSLogger's tests.
    (
        "lat=12.193&lon=19.111&sat=9&desc=blah&alt=45.0&acc=8.0&dir=359.0&prov=MOCK&spd_kph=32418.0&spd=9005.0&time=2016-03-05T19:24:29.949Z&battery=91.0&androidId=22&serial=SRS11&activity=",
        "osmand - lat=12.193 lng=19.111 accuracy=8.0 altitude=45.0 heading=359.0 speed=9005.0 timestamp=1457205869949 battery=0.91",
    ),
    (
        "lat=12.193&lon=19.111&dist=27",
        "osmand - lat=12.193 lng=19.111",
    ),
    (
        "lat=12.193&lon=19.111&sat=0&desc=&alt=0.0&acc=0.0&dir=0.0&prov=MOCK&spd=0.0&time=2016-03-05T19:24:29.949Z&battery=0.0&androidId=&serial=&activity=",
        "osmand - lat=12.193 lng=19.111 accuracy=0.0 altitude=0.0 heading=0.0 speed=0.0 timestamp=1457205869949 battery=0",
    ),
    (
        "lat=12.193&lon=19.456&sat=0&desc=&alt=0.0&acc=0.0&dir=0.0&prov=MOCK&spd=0.0&time=2016-03-05T19:24:29.949Z&battery=0.0&androidId=&serial=&activity=&epoch=1457205869",
        "osmand - lat=12.193 lng=19.456 accuracy=0.0 altitude=0.0 heading=0.0 speed=0.0 timestamp=1457205869949 battery=0",
    ),
    (
        "lat=12.193&lon=19.456&timeoff=2016-03-05T21:24:29.949%2B02:00",
        "osmand - lat=12.193 lng=19.456 timestamp=1457205869949",
    ),
    // GPSLogger with the template of a Traccar server, filled in.
    (
        "id=anna&lat=12.193&lon=19.111&timestamp=1457205869&altitude=45.0&accuracy=8.0&bearing=359.0&batt=91.0&speed=9.25&speed_unit=mps",
        "osmand anna lat=12.193 lng=19.111 accuracy=8.0 altitude=45.0 heading=359.0 speed=9.25 timestamp=1457205869000 battery=0.91",
    ),
    // GPSLogger with all of its names, filled in.
    (
        "id=anna&lat=12.193&lon=19.111&sat=9&desc=&alt=45.0&acc=8.0&dir=359.0&prov=gps&spd_kph=18.0&spd=5.0&timestamp=1457205869&timeoffset=2016-03-05T21:24:29.949+02:00&time=2016-03-05T19:24:29.949Z&starttimestamp=1457205800&date=2016-03-05&batt=91.0&ischarging=false&aid=22&ser=SRS11&act=&filename=20160305&profile=Default&hdop=0.9&vdop=1.1&pdop=1.4&dist=27&",
        "osmand anna lat=12.193 lng=19.111 accuracy=8.0 altitude=45.0 heading=359.0 speed=5.0 timestamp=1457205869000 battery=0.91",
    ),
    // Home Assistant's template for GPSLogger, filled in.
    (
        "latitude=12.193&longitude=19.111&device=SRS11&accuracy=8.0&battery=91.0&speed=5.0&direction=359.0&altitude=45.0&provider=gps&activity=",
        "osmand SRS11 lat=12.193 lng=19.111 accuracy=8.0 altitude=45.0 heading=359.0 speed=5.0 battery=0.91",
    ),
    // Hauk's fields, filled in; its session is nobody's id.
    (
        "lat=12.193&lon=19.111&time=1457205869.949&sid=0123&spd=5.0&acc=8.0&prv=1",
        "osmand - lat=12.193 lng=19.111 accuracy=8.0 speed=5.0 timestamp=1457205869949",
    ),
];

/// Contents.
pub(super) const OBJECTS: &[(&str, &str)] = &[
    // Traccar's tests of its client's JSON.
    (
        r#"{"location":{"timestamp":"2025-06-15T13:45:12.862Z","coords":{"latitude":37.4219983,"longitude":-122.084,"accuracy":5,"speed":0,"heading":-1,"altitude":5},"is_moving":false,"odometer":0,"event":"motionchange","battery":{"level":1,"is_charging":false},"activity":{"type":"still"},"extras":{},"_":"&id=48241179&lat=37.4219983&lon=-122.084&timestamp=2025-06-15T13:45:12.862Z&"},"device_id":"48241179"}"#,
        "traccar 48241179 lat=37.4219983 lng=-122.084 accuracy=5 altitude=5 speed=0 timestamp=1749995112862 battery=1",
    ),
    (
        r#"{"location":{"timestamp":"2025-06-15T13:45:12.862Z","coords":{"latitude":37.4219983,"longitude":-122.084,"accuracy":5,"speed":0,"heading":-1,"altitude":5},"is_moving":false,"odometer":0,"event":"motionchange","battery":{"level":1,"is_charging":false},"activity":{"type":"still"},"extras":{"device_string_test":"long_device_id","device_bool_test":true,"device_bool_false_test":false,"device_integer_test":1,"device_integer_twelve_test":12,"device_double_test":1.345,"device_very_long_double_test":1763636.3442},"_":"&id=48241179&lat=37.4219983&lon=-122.084&timestamp=2025-06-15T13:45:12.862Z&"},"device_id":"48241179"}"#,
        "traccar 48241179 lat=37.4219983 lng=-122.084 accuracy=5 altitude=5 speed=0 timestamp=1749995112862 battery=1",
    ),
    (
        r#"{"location":{"extras":{},"mock":true,"coords":{"speed_accuracy":-1,"speed":-1,"longitude":-122.406417,"ellipsoidal_altitude":0,"floor":null,"heading_accuracy":-1,"latitude":37.785834000000001,"accuracy":5,"altitude_accuracy":-1,"altitude":0,"heading":-1},"is_moving":false,"age":188,"odometer":0,"uuid":"2FB04C65-99CF-42AB-8DD3-EBCB4B108BF8","event":"motionchange","battery":{"level":-1,"is_charging":false},"activity":{"type":"unknown","confidence":100},"timestamp":"2025-05-09T04:11:30.579Z"},"device_id":"658765"}"#,
        "traccar 658765 lat=37.785834000000001 lng=-122.406417 accuracy=5 altitude=0 timestamp=1746763890579",
    ),
    (
        r#"{"location":{"event":"motionchange","is_moving":false,"uuid":"0e9a2473-a9a7-4c00-997b-fb97d2154e75","timestamp":"2021-07-21T08:06:34.444Z","odometer":0,"coords":{"latitude":-6.1148096,"longitude":106.6837015,"accuracy":3.8,"speed":18.67,"speed_accuracy":0.26,"heading":63,"heading_accuracy":0.28,"altitude":35.7,"altitude_accuracy":3.8},"activity":{"type":"still","confidence":100},"battery":{"is_charging":false,"level":0.79},"extras":{}},"device_id":"8737767034"}"#,
        "traccar 8737767034 lat=-6.1148096 lng=106.6837015 accuracy=3.8 altitude=35.7 altitudeAccuracy=3.8 heading=63 speed=18.67 timestamp=1626854794444 battery=0.79",
    ),
    // From a server's log (traccar/traccar-client#26).
    (
        r#"{"location":{"timestamp":"2025-06-14T13:15:05.143Z","coords":{"latitude":-20.4178387,"longitude":-40.3370905,"accuracy":100,"speed":-1,"heading":-1,"altitude":2.4},"is_moving":false,"odometer":0,"battery":{"level":0.97,"is_charging":true},"activity":{"type":"still"},"extras":{},"_":"&id=981866116&lat=-20.4178387&lon=-40.3370905&timestamp=2025-06-14T13:15:05.143Z&","device_id":"981866116","source":"heartbeat"},"device_id":"981866116","source":"heartbeat"}"#,
        "traccar 981866116 lat=-20.4178387 lng=-40.3370905 accuracy=100 altitude=2.4 timestamp=1749906905143 battery=0.97",
    ),
    // Traccar Client 10 when it stands still.
    (
        r#"{"location":{"timestamp":"2025-06-14T13:15:05.143Z","battery":{"level":0.97}},"device_id":"981866116"}"#,
        "traccar 981866116 moves nobody",
    ),
    // Traccar's tests of OwnTracks.
    (
        r#"{"_type":"location","acc":15,"alt":440,"batt":46,"conn":"w","lat":46.0681247,"lon":11.1512805,"t":"u","tid":"5t","tst":1551874878,"vac":2,"vel":0}"#,
        "owntracks - lat=46.0681247 lng=11.1512805 accuracy=15 altitude=440 altitudeAccuracy=2 speed=0 timestamp=1551874878000 battery=0.46",
    ),
    (
        r#"{"lon":2.29513,"lat":48.85833,"tst":1497349316,"_type":"location","tid":"JJ"}"#,
        "owntracks - lat=48.85833 lng=2.29513 timestamp=1497349316000",
    ),
    (
        r#"{"cog":271,"lon":2.29513,"acc":5,"vel":61,"vac":21,"lat":48.85833,"tst":1497349316,"alt":167,"_type":"location","tid":"JJ","t":"u","batt":67}"#,
        "owntracks - lat=48.85833 lng=2.29513 accuracy=5 altitude=167 altitudeAccuracy=21 heading=271 speed=16.944 timestamp=1497349316000 battery=0.67",
    ),
    (
        r#"{"lat":48.85,"lon":2.295,"_type":"location","tid":"JJ","tst":1497476456}"#,
        "owntracks - lat=48.85 lng=2.295 timestamp=1497476456000",
    ),
    (
        r#"{"lon":-122,"acc":5,"created_at":1736161415,"lat":37,"topic":"owntracks/ckrey/22A67880-15C3-41A6-9157-25545C7993AC","t":"u","m":1,"tst":1736161169,"conn":"w","alt":0,"_type":"location","tid":"AC"}"#,
        "owntracks ckrey lat=37 lng=-122 accuracy=5 altitude=0 timestamp=1736161169000",
    ),
    (
        r#"{"topic":"owntracks/qtripp/865284041968706","lat":47.420051,"lon":13.654704,"vel":0,"cog":113,"tst":1736519167,"mcc":232,"mnc":1,"lac":"4F4D","cid":"673A","_type":"location","acc":10,"alt":1113,"t":"I","don":105,"tid":"CS"}"#,
        "owntracks qtripp lat=47.420051 lng=13.654704 accuracy=10 altitude=1113 heading=113 speed=0 timestamp=1736519167000",
    ),
    // The booklet's test of a server.
    (
        BOOKLET,
        "owntracks jane lat=48.856826 lng=2.292713 timestamp=1456212791000 battery=0.11",
    ),
    // Overland's README.
    (
        OVERLAND,
        "overland - lat=37.331800 lng=-122.030581 accuracy=30 altitude=0 speed=4 timestamp=1443711600000 battery=0.80",
    ),
];

const BOOKLET: &str = r#"{"_type":"location","t":"u","batt":11,"lat":48.856826,"lon":2.292713,"tid":"JJ","tst":1456212791,"topic":"owntracks/jane/phone"}"#;

const OVERLAND: &str = r#"{
  "locations": [
    {
      "type": "Feature",
      "geometry": {
        "type": "Point",
        "coordinates": [
          -122.030581, 
          37.331800
        ]
      },
      "properties": {
        "timestamp": "2015-10-01T08:00:00-0700",
        "altitude": 0,
        "speed": 4,
        "horizontal_accuracy": 30,
        "vertical_accuracy": -1,
        "motion": ["driving","stationary"],
        "pauses": false,
        "activity": "other_navigation",
        "desired_accuracy": 100,
        "deferred": 1000,
        "significant_change": "disabled",
        "locations_in_payload": 1,
        "battery_state": "charging",
        "battery_level": 0.80,
        "device_id": "",
        "wifi": ""
      }
    }
  ]
}"#;

#[test]
fn pairs_that_apps_send_are_read_from_a_query_and_from_a_form() {
    for (pairs, expected) in PAIRS {
        assert_eq!(told(&query(pairs)), *expected, "{pairs}");
        assert_eq!(told(&body(pairs)), *expected, "{pairs}");
    }
}

#[test]
fn objects_that_apps_send_are_read() {
    for (object, expected) in OBJECTS {
        assert_eq!(told(&body(object)), *expected, "{object}");
    }
}

#[test]
fn the_recorders_examples_say_the_user_in_the_query_or_in_a_header() {
    let in_query = Posted {
        query: "u=jane&d=3s",
        ..body(r#"{"_type":"location","lat":1,"lon":2}"#)
    };
    assert_eq!(told(&in_query), "owntracks jane lat=1 lng=2");
    let in_header = Posted {
        query: "",
        limit_user: Some("jane"),
        ..in_query
    };
    assert_eq!(told(&in_header), "owntracks jane lat=1 lng=2");
}
