// Names Boost.JSON's values without their weight.
#pragma once

namespace boost::json {
class array;
class object;
class value;
}  // namespace boost::json
