// The same relay on uWebSockets, a fast C++ WebSocket server, to be measured beside ours. It
// relays what it gets, checks nothing, and keeps no last known positions.
//
// With checkouts of uNetworking/uWebSockets and uNetworking/uSockets side by side in one folder:
//
//   for f in uSockets/src/*.c uSockets/src/eventing/*.c uSockets/src/crypto/*.c; do
//     gcc -O3 -flto -DLIBUS_NO_SSL -IuSockets/src -c "$f"; done
//   g++ -std=c++20 -O3 -flto -DLIBUS_NO_SSL -DUWS_NO_ZLIB -IuWebSockets/src -IuSockets/src \
//     uwebsockets.cpp *.o -o uwebsockets
//   cargo bench -- ring star race mesh --server path/to/uwebsockets
#include "App.h"

#include <sys/resource.h>

#include <cstdio>
#include <string_view>

struct Nothing {};

static std::string_view trim(std::string_view id) {
  while (!id.empty() && (id.front() == ' ' || id.front() == '"')) id.remove_prefix(1);
  while (!id.empty() && (id.back() == ' ' || id.back() == '"')) id.remove_suffix(1);
  return id;
}

// What stands behind a key, or nothing.
static std::string_view behind(std::string_view message, std::string_view key) {
  size_t at = message.find(key);
  return at == std::string_view::npos ? std::string_view() : message.substr(at + key.size());
}

int main() {
  rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);

  uWS::App app;
  app.ws<Nothing>(
         "/*",
         {.compression = uWS::DISABLED,
          .maxPayloadLength = 64 * 1024,
          .idleTimeout = 120,
          .maxBackpressure = 1024 * 1024 * 1024,
          .message =
              [&app](auto *socket, std::string_view message, uWS::OpCode) {
                std::string_view list = behind(message, "\"following\":[");
                if (list.empty()) {
                  std::string_view user = behind(message, "\"userId\":");
                  app.publish(trim(user.substr(0, user.find(','))), message, uWS::TEXT, false);
                  return;
                }
                list = list.substr(0, list.find(']'));
                while (!list.empty()) {
                  size_t comma = list.find(',');
                  socket->subscribe(trim(list.substr(0, comma)));
                  list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
                }
              }})
      .listen("127.0.0.1", 0,
              [](us_listen_socket_t *socket) {
                if (!socket) return;
                std::printf("listening on 127.0.0.1:%d\n",
                            us_socket_local_port(0, (us_socket_t *)socket));
                std::fflush(stdout);
              })
      .run();
}
