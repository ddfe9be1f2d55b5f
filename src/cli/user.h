/* `verstak-sync-server user …`: accounts from the command line. */
#ifndef CLI_USER_H
#define CLI_USER_H

/*
 * argv[0] is the program, argv[1] "user". Returns the exit status: 0 done, 1 failed, 2 wrong usage.
 */
int user_main(int argc, char **argv);

#endif
