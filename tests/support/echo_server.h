#ifndef TESTS_SUPPORT_ECHO_SERVER_H
#define TESTS_SUPPORT_ECHO_SERVER_H

// A program that serves the Echo service until it is killed. Arguments, any number of them:
//
//   tcp://… ipc://…     RPC address
//   stream=URL          stream "echo" of session "main"
//   epoch=N ring=N      of that stream
//   http=HOST:PORT      the RPC gateway; bearer tokens are "player-7", "secret-7" (permission 4)
//                       and "operator-7" (permission 128) for player 7, "away" is UNAVAILABLE
//
// Prints "serving" and the HTTP port once everything is there.
int echo_server_main(int argc, char **argv);

#endif
