// An array of a size known only at run time, on the stack while it is small, which is nearly always.
#pragma once

#include <cstddef>
#include <type_traits>

namespace bytegraph {

// The elements are not initialised.
template <typename Element, size_t inline_count>
class SmallArray {
  static_assert(std::is_trivial_v<Element>);

 public:
  explicit SmallArray(size_t count) : data_(count <= inline_count ? inline_ : new Element[count]) {}
  ~SmallArray() {
    if (data_ != inline_) delete[] data_;
  }
  SmallArray(const SmallArray&) = delete;
  SmallArray& operator=(const SmallArray&) = delete;

  Element* data() { return data_; }
  Element& operator[](size_t index) { return data_[index]; }

 private:
  Element inline_[inline_count];
  Element* data_;
};

}  // namespace bytegraph
