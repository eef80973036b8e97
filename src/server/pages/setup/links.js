// What each tracker app needs to send positions here: the link that fills it in, in the app's own
// format, and what a person types instead. Pure: knows no page.

const enc = encodeURIComponent;
const pairs = values => Object.entries(values)
  .filter(([, value]) => value !== undefined)
  .map(([key, value]) => `${key}=${enc(value)}`).join('&');

// Every few seconds, standing or moving: a race is to be watched.
const EVERY_S = 10;

// All apps, for a runner of this id at the server of this origin, with or without a token.
export const apps = runner => [traccarClient, ownTracks, overland, gpsLogger].map(app => app(runner));

// github.com/traccar/traccar-client (10.1.0): lib/configuration_service.dart reads `url`, `id` and the
// rest; a link by http would lose the query of its address. The scheme stands in
// android/app/src/main/AndroidManifest.xml and ios/Runner/Info.plist; lib/main.dart asks before it
// takes anything. What the settings do: traccar.org/client-configuration. Their names: lib/l10n/app_en.arb.
export function traccarClient({ origin, id, token }) {
  const url = `${origin}/track${token ? `?token=${enc(token)}` : ''}`;
  const settings = { url, id, accuracy: 'highest', interval: EVERY_S, distance: 0, buffer: true, stop_detection: false };
  return {
    name: 'Traccar Client',
    phones: 'iPhone, Android',
    site: 'https://www.traccar.org/client/',
    link: `org.traccar.client://config?${pairs(settings)}`,
    before: '',
    after: 'Say OK to the new configuration, and switch “Continuous tracking” on.',
    where: 'In “Settings”, with “Location accuracy” at “Highest”:',
    fields: [['Server URL', url], ['Device identifier', id]],
  };
}

// A user name goes into a header and in front of the colon of a Basic password. Android's OkHttp
// and the iOS app (Connection.m) take plain ASCII there.
const isUserName = (id, hasPassword) =>
  /^[!-~]([ -~]*[!-~])?$/.test(id) && !(hasPassword && id.includes(':'));

// github.com/owntracks/booklet: docs/features/remoteconfig.md (`inline` is the configuration in Base64),
// docs/tech/json.md (its elements), docs/tech/http.md. Since Android 2.6.0 and iOS 26.2.3 such links must be
// allowed first (CHANGELOG.md of owntracks/android and owntracks/ios).
export function ownTracks({ origin, id, token }) {
  const app = { name: 'OwnTracks', phones: 'iPhone, Android', site: 'https://owntracks.org/' };
  const isPlain = isUserName(id, Boolean(token));
  if (!isPlain && !token) {
    return {
      ...app, link: null, before: 'It cannot send this id. Take another app.', after: '', where: '', fields: [],
    };
  }
  // By a token the server knows who it is, whatever the name.
  const username = isPlain ? id : 'runner';
  const tid = /[0-9A-Za-z]{2}$/.exec(id)?.[0];
  const url = `${origin}/pub`;
  const configuration = {
    _type: 'configuration', mode: 3, url, auth: Boolean(token), username, password: token ?? '', deviceId: 'phone',
    tid, monitoring: 2, locatorInterval: EVERY_S, locatorDisplacement: EVERY_S,
  };
  return {
    ...app,
    link: `owntracks:///config?inline=${enc(base64(JSON.stringify(configuration)))}`,
    before: 'First allow configuration by links in its settings: on Android “Remote Control”, “Allow external configuration”.',
    after: 'Have it take the configuration over. It should say “Move” for how it tracks.',
    where: 'In the settings, with “HTTP” as the mode, authentication on where it asks, and “Move” for how it tracks:',
    fields: [
      ['URL', url], ['User name', username], ...token ? [['Password', token]] : [], ['Device ID', 'phone'],
      ...tid ? [['Tracker ID', tid]] : [],
    ],
  };
}

// github.com/aaronpk/Overland-iOS: README.md, "Configuration by Custom URL"; GPSLogger/SceneDelegate.m reads it,
// and leaves a plus as it is. The names of the fields: Base.lproj/Main.storyboard.
export function overland({ origin, id, token }) {
  const url = `${origin}/track`;
  return {
    name: 'Overland',
    phones: 'iPhone',
    site: 'https://github.com/aaronpk/Overland-iOS',
    link: `overland://setup?${pairs({ url, token: token ?? undefined, device_id: id })}`,
    before: '',
    after: 'Switch tracking on in the app, and choose a short interval for sending.',
    where: 'In “Settings”, behind “Server URL”:',
    fields: [['Receiver endpoint URL', url], ...token ? [['Access token', token]] : [], ['Device ID', id]],
  };
}

// github.com/mendhak/gpslogger: its one link, gpslogger://properties/URL (ProfileLinkReceiverActivity.java), has it
// download a file, which would have to hold the token. So there is an address to paste. The words behind % are those
// of CustomUrlManager.java, which replaces them in any case and wherever they stand.
export function gpsLogger({ origin, id, token }) {
  const who = token ? `token=${enc(token)}` : `id=${encodeFully(id)}`;
  const url = `${origin}/track?${who}&lat=%LAT&lon=%LON&time=%TIME&alt=%ALT&acc=%ACC&dir=%DIR&spd=%SPD&batt=%BATT`;
  return {
    name: 'GPSLogger',
    phones: 'Android',
    site: 'https://gpslogger.app/',
    link: null,
    before: '',
    after: `Under “Performance”, make the “Logging interval” ${EVERY_S} seconds. Then start logging.`,
    where: 'Under “Logging details”, “Log to custom URL”: switch it on, and paste this as its URL:',
    fields: [['URL', url]],
  };
}

// Of an id that needs any escapes all bytes have one: %AC and C behind it would be %ACC.
function encodeFully(id) {
  if (/^[\w.~-]*$/.test(id)) return id;
  return Array.from(new TextEncoder().encode(id), byte => `%${byte.toString(16).padStart(2, '0')}`).join('');
}

// Of the text's UTF-8.
function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}
