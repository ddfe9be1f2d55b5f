/* What this binary is: PACKAGE_VERSION from configure.ac and the commit it was built from. */
#ifndef CORE_VERSION_H
#define CORE_VERSION_H

#include "core/build_commit.h"

#define VERSION_TEXT PACKAGE_VERSION
#define VERSION_COMMIT BUILD_COMMIT

#endif
