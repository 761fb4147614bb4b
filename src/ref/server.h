/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference engine: a model server of our own, for one GGUF file, on a unix socket.
 *
 *   busbar engine-ref --model FILE --host SOCKET|HOST:PORT --alias NAME [--slots N] [--context N] [--threads N] [--chat NAME]
 *
 * It is started, watched and stopped as any engine is (engine/serve.h), and speaks the part of OpenAI's API that gateways use: health,
 * models, chat/completions, completions, and llama-server's tokenize. The loop of this thread reads requests and sends what there is;
 * answers are written by the runner's thread. A client that goes away is cancelled. On SIGTERM nothing new is taken, and what is
 * being written may end within two seconds, or until a second SIGTERM.
 */
#ifndef BUSBAR_REF_SERVER_H
#define BUSBAR_REF_SERVER_H

/* argv[0] is the verb. The exit status: 64 for options that make no sense, 1 when it cannot start. */
int ref_main(int argc, char **argv);

#endif
