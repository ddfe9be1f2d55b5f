/* `verstak-sync-server admin NAME`: the command that writes an admin into the configuration file. */
#ifndef CLI_ADMIN_H
#define CLI_ADMIN_H

/* argv as main() got it, argv[1] being "admin". Returns the program's exit status. */
int admin_main(int argc, char **argv);

#endif
