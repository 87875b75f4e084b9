// A device that computes on the CPU, under torch's dispatch key for devices of others (PrivateUse1): two of them, each with
// memory and a generator of random numbers of its own, with streams, autocast and pinned memory. What has no kernel here is
// computed by torch's on copies.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/core/GeneratorForPrivateuseone.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/resize_native.h>
#include <ATen/ops/set_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <unordered_set>
#include <utility>

namespace at::autocast {
TORCH_API at::ScalarType get_autocast_dtype(at::DeviceType device_type);
}  // namespace at::autocast

namespace {

constexpr auto KIND = c10::DeviceType::PrivateUse1;
constexpr int DEVICES = 2;

thread_local c10::DeviceIndex current = 0;
thread_local std::array<c10::StreamId, DEVICES> streams{};

struct TwoDevices final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return KIND; }
  c10::Device getDevice() const override { return c10::Device(KIND, current); }
  void setDevice(c10::Device device) const override { current = device.index(); }
  void uncheckedSetDevice(c10::Device device) const noexcept override { current = device.index(); }
  c10::Device exchangeDevice(c10::Device device) const override {
    return c10::Device(KIND, std::exchange(current, device.index()));
  }
  c10::Stream getStream(c10::Device device) const override {
    if (device.index() < 0) device = getDevice();
    return c10::Stream(c10::Stream::UNSAFE, device, streams.at(device.index()));
  }
  c10::Stream exchangeStream(c10::Stream stream) const override {
    auto before = std::exchange(streams.at(stream.device_index()), stream.id());
    return c10::Stream(c10::Stream::UNSAFE, stream.device(), before);
  }
  void record(void**, const c10::Stream&, const c10::DeviceIndex, const c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  c10::DeviceIndex deviceCount() const noexcept override { return DEVICES; }
  c10::Stream getDefaultStream(c10::Device device) const override {
    return c10::Stream(c10::Stream::UNSAFE, device, 0);
  }
  c10::Stream getNewStream(c10::Device device, int) const override {
    static c10::StreamId last = 0;
    if (device.index() < 0) device = getDevice();
    return c10::Stream(c10::Stream::UNSAFE, device, ++last);
  }
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override {}
  void synchronizeDevice(c10::DeviceIndex) const override {}
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, TwoDevices)

// Memory ----------------------------------------------------------------------------------------------

struct DeviceMemory final : c10::Allocator {
  c10::DataPtr allocate(size_t size) override {
    void* data = size ? std::malloc(size) : nullptr;
    return {data, data, &std::free, c10::Device(KIND, current)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &std::free; }
  void copy_data(void* to, const void* from, size_t size) const override { std::memcpy(to, from, size); }
};
DeviceMemory device_memory;
REGISTER_ALLOCATOR(KIND, &device_memory)

std::mutex pinned_lock;
std::unordered_set<const void*> pinned;

void unpin(void* data) {
  std::lock_guard lock(pinned_lock);
  pinned.erase(data);
  std::free(data);
}

struct PinnedMemory final : c10::Allocator {
  c10::DataPtr allocate(size_t size) override {
    void* data = std::malloc(size ? size : 1);
    std::lock_guard lock(pinned_lock);
    pinned.insert(data);
    return {data, data, &unpin, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &unpin; }
  void copy_data(void* to, const void* from, size_t size) const override { std::memcpy(to, from, size); }
};
PinnedMemory pinned_memory;

// Random numbers: those of a generator of the CPU -----------------------------------------------------

struct DeviceGenerator final : c10::GeneratorImpl {
  explicit DeviceGenerator(c10::DeviceIndex index)
      : c10::GeneratorImpl(c10::Device(KIND, index), c10::DispatchKeySet(c10::DispatchKey::PrivateUse1)) {}

  void set_current_seed(uint64_t seed) override { numbers.set_current_seed(seed); }
  void set_offset(uint64_t) override { TORCH_CHECK(false, "no offsets"); }
  uint64_t get_offset() const override { return 0; }
  uint64_t current_seed() const override { return numbers.current_seed(); }
  uint64_t seed() override { return numbers.seed(); }
  void set_state(const c10::TensorImpl& state) override {
    numbers.unsafeGetGeneratorImpl()->set_state(state);
  }
  c10::intrusive_ptr<c10::TensorImpl> get_state() const override {
    return numbers.unsafeGetGeneratorImpl()->get_state();
  }
  DeviceGenerator* clone_impl() const override {
    auto* other = new DeviceGenerator(device_.index());
    other->numbers = numbers.clone();
    return other;
  }

  at::Generator numbers = at::detail::createCPUGenerator();
};

const at::Generator& default_generator(int64_t index) {
  static std::array<at::Generator, DEVICES> generators{
      at::make_generator<DeviceGenerator>(0), at::make_generator<DeviceGenerator>(1)};
  return generators.at(index < 0 ? current : index);
}

at::Generator numbers_of(const std::optional<at::Generator>& generator, const at::Tensor& self) {
  const at::Generator& chosen = generator && generator->defined() ? *generator : default_generator(self.get_device());
  TORCH_CHECK(chosen.device().type() == KIND, "Expected a '", self.device(), "' device type for generator but found '",
              chosen.device(), "'");
  return static_cast<DeviceGenerator*>(chosen.unsafeGetGeneratorImpl())->numbers;
}

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return DEVICES; }
  c10::DeviceIndex getCurrentDevice() const override { return current; }
  void setCurrentDevice(c10::DeviceIndex index) const override { current = index; }
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex index) const override {
    auto before = current;
    if (index >= 0) current = index;
    return before;
  }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex index) const override { return exchangeDevice(index); }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex index) const override { return default_generator(index); }
  at::Generator getNewGenerator(c10::DeviceIndex index) const override {
    return at::make_generator<DeviceGenerator>(index < 0 ? current : index);
  }
  at::Device getDeviceFromPtr(void*) const override { return at::Device(KIND, current); }
  bool isPinnedPtr(const void* data) const override {
    std::lock_guard lock(pinned_lock);
    return pinned.count(data);
  }
  at::Allocator* getPinnedMemoryAllocator() const override { return &pinned_memory; }
  void resizePrivateUse1Bytes(const c10::Storage& storage, size_t size) const override {
    c10::DeviceGuard guard(storage.device());
    auto data = device_memory.allocate(size);
    std::memcpy(data.get(), storage.data(), std::min(size, storage.nbytes()));
    storage.set_data_ptr_noswap(std::move(data));
    storage.unsafeGetStorageImpl()->set_nbytes(size);
  }
};

// Kernels ---------------------------------------------------------------------------------------------

using Sizes = c10::SymIntArrayRef;

at::Tensor on_cpu(const at::Tensor& tensor) {
  return tensor.is_cpu() ? tensor
                         : at::from_blob(tensor.data_ptr(), tensor.sizes(), tensor.strides(),
                                         tensor.options().device(at::kCPU).requires_grad(false));
}

at::Tensor empty(at::IntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                 std::optional<at::Device> device, std::optional<bool> is_pinned,
                 std::optional<at::MemoryFormat> format) {
  TORCH_CHECK(!is_pinned.value_or(false), "only tensors of the CPU can be pinned");
  c10::DeviceGuard guard(c10::device_or_default(device));
  return at::detail::empty_generic(size, &device_memory, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                   c10::dtype_or_default(dtype), format);
}

at::Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride, std::optional<at::ScalarType> dtype,
                         std::optional<at::Layout>, std::optional<at::Device> device, std::optional<bool>) {
  c10::DeviceGuard guard(c10::device_or_default(device));
  return at::detail::empty_strided_generic(size, stride, &device_memory,
                                           c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                           c10::dtype_or_default(dtype));
}

at::Tensor as_strided(const at::Tensor& self, Sizes size, Sizes stride, std::optional<c10::SymInt> offset) {
  std::optional<int64_t> start;
  if (offset) start = offset->expect_int();
  return at::native::as_strided_tensorimpl(self, C10_AS_INTARRAYREF_SLOW(size), C10_AS_INTARRAYREF_SLOW(stride), start);
}

at::Tensor view(const at::Tensor& self, Sizes size) { return at::native::view(self, C10_AS_INTARRAYREF_SLOW(size)); }

at::Tensor reshape_alias(const at::Tensor& self, Sizes size, Sizes stride) {
  return at::native::_reshape_alias(self, C10_AS_INTARRAYREF_SLOW(size), C10_AS_INTARRAYREF_SLOW(stride));
}

const at::Tensor& resize(const at::Tensor& self, Sizes size, std::optional<at::MemoryFormat> format) {
  return at::native::resize_(self, C10_AS_INTARRAYREF_SLOW(size), format);
}

at::Tensor copy_from(const at::Tensor& self, const at::Tensor& target, bool) {
  at::NoGradGuard no_grad;
  on_cpu(target).copy_(on_cpu(self));
  return target;
}

at::Tensor copy_from_and_resize(const at::Tensor& self, const at::Tensor& target) {
  at::native::resize_(target, self.sizes(), std::nullopt);
  return copy_from(self, target, false);
}

at::Scalar local_scalar(const at::Tensor& self) { return on_cpu(self).item(); }

at::Tensor& set_storage(at::Tensor& self, at::Storage source) { return at::native::set_(self, std::move(source)); }

at::Tensor& set_part(at::Tensor& self, at::Storage source, int64_t offset, at::IntArrayRef size,
                     at::IntArrayRef stride) {
  return at::native::set_storage_cpu_(self, std::move(source), offset, size, stride);
}

using Random = const std::optional<at::Generator>&;

at::Tensor& uniform(at::Tensor& self, double from, double to, std::optional<at::Generator> generator) {
  on_cpu(self).uniform_(from, to, numbers_of(generator, self));
  return self;
}

at::Tensor& normal(at::Tensor& self, double mean, double deviation, std::optional<at::Generator> generator) {
  on_cpu(self).normal_(mean, deviation, numbers_of(generator, self));
  return self;
}

at::Tensor& bernoulli(at::Tensor& self, double p, std::optional<at::Generator> generator) {
  on_cpu(self).bernoulli_(p, numbers_of(generator, self));
  return self;
}

at::Tensor& random(at::Tensor& self, int64_t from, std::optional<int64_t> to, std::optional<at::Generator> generator) {
  on_cpu(self).random_(from, to, numbers_of(generator, self));
  return self;
}

std::tuple<at::Tensor, at::Tensor> dropout(const at::Tensor& self, double p, std::optional<bool> train) {
  auto mask = at::empty_like(self, self.options().dtype(at::kBool));
  if (!train.value_or(true)) return {self.clone(), mask.fill_(true)};
  mask.bernoulli_(1 - p);
  return {self.mul(mask).mul_(p == 1 ? 0. : 1 / (1 - p)), mask};
}

void fallback(const c10::OperatorHandle& op, torch::jit::Stack* stack) { at::native::cpu_fallback(op, stack); }

// Autocast of the products of matrices ----------------------------------------------------------------

using OutsideOfAutocast = c10::impl::ExcludeDispatchKeyGuard;
constexpr auto AUTOCAST = c10::DispatchKey::AutocastPrivateUse1;

at::Tensor cast(const at::Tensor& tensor) { return tensor.to(at::autocast::get_autocast_dtype(KIND)); }

at::Tensor mm(const at::Tensor& left, const at::Tensor& right) {
  OutsideOfAutocast guard(AUTOCAST);
  return at::mm(cast(left), cast(right));
}

at::Tensor addmm(const at::Tensor& self, const at::Tensor& left, const at::Tensor& right, const at::Scalar& beta,
                 const at::Scalar& alpha) {
  OutsideOfAutocast guard(AUTOCAST);
  return at::addmm(cast(self), cast(left), cast(right), beta, alpha);
}

at::Tensor linear(const at::Tensor& self, const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
  OutsideOfAutocast guard(AUTOCAST);
  return at::linear(cast(self), cast(weight), bias && bias->defined() ? std::optional(cast(*bias)) : std::nullopt);
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", empty);
  m.impl("empty_strided", empty_strided);
  m.impl("as_strided", as_strided);
  m.impl("view", view);
  m.impl("_reshape_alias", reshape_alias);
  m.impl("resize_", resize);
  m.impl("_copy_from", copy_from);
  m.impl("_copy_from_and_resize", copy_from_and_resize);
  m.impl("_local_scalar_dense", local_scalar);
  m.impl("set_.source_Storage", set_storage);
  m.impl("set_.source_Storage_storage_offset", set_part);
  m.impl("uniform_", uniform);
  m.impl("normal_", normal);
  m.impl("bernoulli_.float", bernoulli);
  m.impl("random_.from", random);
  m.impl("native_dropout", dropout);
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&fallback>()); }

TORCH_LIBRARY_IMPL(_, AutocastPrivateUse1, m) { m.fallback(torch::CppFunction::makeFallthrough()); }

TORCH_LIBRARY_IMPL(aten, AutocastPrivateUse1, m) {
  m.impl("mm", mm);
  m.impl("addmm", addmm);
  m.impl("linear", linear);
}

std::optional<at::Generator> generator_of(int64_t index) { return default_generator(index); }

TORCH_LIBRARY(stand_in, m) {
  m.def("default_generator(int index) -> Generator?", generator_of);
  at::RegisterPrivateUse1HooksInterface(new Hooks);
}

}  // namespace
