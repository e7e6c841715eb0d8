# frozen_string_literal: true

module FlyingPassenger
  # The daemon's settings, which are removed from the environment.
  Settings = Struct.new(:startup_file, :group, :threads, :preload_bundler, :native) do
    def self.take
      names = %w[STARTUP_FILE GROUP THREADS PRELOAD_BUNDLER NATIVE]
      startup_file, group, threads, bundler, native = names.map { |name| ENV.delete("FLYING_PASSENGER_#{name}") }
      new(startup_file, group, Integer(threads || 1), !bundler.nil?, native)
    end
  end
end
